"""Signs that keep a running sum of vectors small, for G lanes at once.

Both functions are compiled where Numba is available, and run as plain Python elsewhere.
"""


def balance(vectors, total, product, left):
    """Write to left (n, G) whether s . v <= 0 for each of the vectors v (n, P, G), in order.

    s is the signed sum of the vectors before: v is added where s . v <= 0, else subtracted. `total` (P, G)
    holds s and must be 0 at first; `product` (G,) is work space. Both are float64.
    """
    count, size, lanes = vectors.shape
    for row in range(count):
        for lane in range(lanes):
            product[lane] = total[0, lane] * vectors[row, 0, lane]
        for p in range(1, size):
            for lane in range(lanes):
                product[lane] += total[p, lane] * vectors[row, p, lane]
        for lane in range(lanes):
            left[row, lane] = product[lane] <= 0
        for p in range(size):
            for lane in range(lanes):
                v = vectors[row, p, lane]
                total[p, lane] += v if product[lane] <= 0 else -v


def place_at_ends(visited, left, order):
    """Write to order (G, n) the rows of visited (G, n) with left (n, G) set, then the others reversed."""
    lanes, count = visited.shape
    for lane in range(lanes):
        first, last = 0, count - 1
        for row in range(count):
            if left[row, lane]:
                order[lane, first] = visited[lane, row]
                first += 1
            else:
                order[lane, last] = visited[lane, row]
                last -= 1
