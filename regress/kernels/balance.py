"""Signs that keep a running sum of vectors small, for many lanes side by side.

Both functions are compiled, and run as Python where they cannot be.
"""


def balance(vectors, total, product, left):
    """left (n, G) = whether s . v <= 0 for each of the vectors (n, P, G), s being the signed sum so far.

    `total` (P, G) is that sum, 0 at first, and `product` (G,) room for the products, both in float64.
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
    """order (G, n) = of `visited` (G, n) those that go left (n, G) forwards, then the others backwards."""
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
