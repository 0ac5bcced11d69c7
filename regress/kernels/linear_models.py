"""Minibatch SGD and mean losses of linear models, WIDTH models side by side in the slots of vectors.

A tile holds K layers of WIDTH slots. A slot reads the rows of one stream in one order, the same in every
layer, so that the rows of a batch are gathered once for K models. Shapes: n rows of C = P + 1 columns, the
last being minus the target; P parameters; E epochs.
"""

import numpy as np
from numba import njit

from regress.kernels import WIDTH
from regress.kernels.vector import any_new_nan, load, pick, store, where_number, zeros

# Everything below is compiled. What a function of one number computes (psi, rho) comes as `apply(u, count,
# constants)`, which replaces the first `count` numbers of u by its values.

BLOCK = 64  # rows whose residuals are held at once; their gradients are summed by themselves


def descend(
    psi,
    constants,  # (c,) of the loss
    scale,  # (WIDTH,) of the residuals, where is_scaled
    is_scaled,
    rows,  # (R, n, C)
    orders,  # (O, E, n) row indices, or (O, 1, n) where all epochs have the same
    source,  # (WIDTH,) which of the R streams a slot reads
    order_of,  # (WIDTH,) which of the O orders it follows
    batch_size,
    visited,  # how many of the n rows an epoch visits
    rates,  # (2, K, WIDTH) lr over divisor, of full batches and of the last, smaller one
    state,  # (K, S, WIDTH) the P parameters, then what else an optimiser keeps
    stopped,  # (K, WIDTH) 0, or nan from the step on at which a parameter became non-finite
    first_nonfinite,  # (K, WIDTH) that step, counted from 1
    steps_before,  # steps made in earlier calls
    path,  # (E, K, P, WIDTH) receives the parameters at each epoch's end
    row_gradients,  # (n, P, WIDTH) receives those of layer 0 in the last epoch, by visit; or (0, P, WIDTH)
):
    """Trains the models of a tile for E epochs; a model stops where a parameter becomes non-finite."""
    columns = rows.shape[2]
    size = columns - 1
    layers, kept = state.shape[:2]
    flat, numbers = state.reshape(-1), stopped.reshape(-1)
    u = np.empty(BLOCK * WIDTH, state.dtype)
    block = np.empty(BLOCK * columns * WIDTH, state.dtype)
    gradients = np.empty(layers * size * WIDTH, state.dtype)
    places = np.empty(WIDTH, np.intp)
    step = steps_before
    for epoch in range(len(path)):
        ordered = epoch if orders.shape[1] > 1 else 0
        for start in range(0, visited, batch_size):
            stop = min(start + batch_size, visited)
            gradients[:] = 0
            for first in range(start, stop, BLOCK):
                count = min(BLOCK, stop - first)
                gather_rows(rows, orders, ordered, first, count, source, order_of, places, block)
                for layer in range(layers):
                    write_residuals(block, count, size, flat, layer * kept * WIDTH, u)
                    if is_scaled:
                        divide(u, count, scale)
                    psi(u, count * WIDTH, constants)
                    if is_scaled:
                        multiply(u, count, scale)
                    add_gradient(block, count, size, u, gradients, layer * size * WIDTH)
                if len(row_gradients):
                    write_row_gradients(
                        block, count, size, u, row_gradients.reshape(-1), first * size * WIDTH
                    )
            step += 1
            rate = rates[0 if stop - start == batch_size else 1].reshape(-1)
            for layer in range(layers):
                at, of = layer * kept * WIDTH, layer * size * WIDTH
                if make_step(flat, at, size, gradients, of, rate, numbers, layer * WIDTH):
                    for slot in range(WIDTH):
                        if np.isnan(stopped[layer, slot]) and first_nonfinite[layer, slot] == 0:
                            first_nonfinite[layer, slot] = step
        path[epoch] = state[:, :size]


def mean_loss(
    rho,
    constants,  # (c,) of the loss
    scale,  # (WIDTH,) of the residuals, where is_scaled
    is_scaled,
    rows,  # (R, n, C)
    source,  # (WIDTH,) which of the R streams a slot reads
    params,  # (K, P, WIDTH)
    means,  # (K, WIDTH) receives the mean of rho over the rows of a slot's stream
):
    """Mean losses of a tile's models over all rows: sums of BLOCK rows are added one after another."""
    length, columns = rows.shape[1:]
    size = columns - 1
    flat, sums = params.reshape(-1), means.reshape(-1)
    orders = in_order(length)
    order_of = np.zeros(WIDTH, np.intp)
    u = np.empty(BLOCK * WIDTH, params.dtype)
    block = np.empty(BLOCK * columns * WIDTH, params.dtype)
    places = np.empty(WIDTH, np.intp)
    sums[:] = 0
    for first in range(0, length, BLOCK):
        count = min(BLOCK, length - first)
        gather_rows(rows, orders, 0, first, count, source, order_of, places, block)
        for layer in range(len(params)):
            write_residuals(block, count, size, flat, layer * size * WIDTH, u)
            if is_scaled:
                divide(u, count, scale)
            rho(u, count * WIDTH, constants)
            add_rows(u, count, sums, layer * WIDTH)
    for layer in range(len(params)):
        for slot in range(WIDTH):
            mean = means[layer, slot] / length
            means[layer, slot] = scale[slot] * (scale[slot] * mean) if is_scaled else mean


def residuals(
    rows,  # (R, n, C)
    source,  # (WIDTH,) which of the R streams a slot reads
    params,  # (P, WIDTH)
    result,  # (n, WIDTH) receives prediction minus target
):
    """Residuals of WIDTH models on all rows of their streams."""
    length, columns = rows.shape[1:]
    flat, target = params.reshape(-1), result.reshape(-1)
    orders = in_order(length)
    order_of = np.zeros(WIDTH, np.intp)
    u = np.empty(BLOCK * WIDTH, params.dtype)
    block = np.empty(BLOCK * columns * WIDTH, params.dtype)
    places = np.empty(WIDTH, np.intp)
    for first in range(0, length, BLOCK):
        count = min(BLOCK, length - first)
        gather_rows(rows, orders, 0, first, count, source, order_of, places, block)
        write_residuals(block, count, columns - 1, flat, 0, u)
        copy(u, count, target, first * WIDTH)


@njit(error_model="numpy")
def in_order(length):
    """The order (1, 1, n) of rows as they are stored."""
    return np.arange(length).reshape(1, 1, length)


@njit(error_model="numpy")
def gather_rows(rows, orders, epoch, start, count, source, order_of, places, block):
    """Copies the next `count` rows of each slot to block (count, C, WIDTH)."""
    length, columns = rows.shape[1:]
    flat = rows.reshape(-1)
    at = 0
    for row in range(count):
        for slot in range(WIDTH):
            index = orders[order_of[slot], epoch, start + row]
            places[slot] = (source[slot] * length + index) * columns
        for column in range(columns):
            store(block, at, pick(flat, places, column))
            at += WIDTH


@njit(error_model="numpy")
def write_residuals(block, count, size, params, first, u):
    """u (count, WIDTH) = w_1 x_1 + w_2 x_2 + ... - y, added from left to right; four rows at a time."""
    width = (size + 1) * WIDTH
    for quad in range(count // 4):
        x = 4 * quad * width
        w = load(params, first)
        one, two = load(block, x) * w, load(block, x + width) * w
        three, four = load(block, x + 2 * width) * w, load(block, x + 3 * width) * w
        for column in range(1, size):
            x += WIDTH
            w = load(params, first + column * WIDTH)
            one += load(block, x) * w
            two += load(block, x + width) * w
            three += load(block, x + 2 * width) * w
            four += load(block, x + 3 * width) * w
        x += WIDTH
        store(u, 4 * quad * WIDTH, one + load(block, x))
        store(u, (4 * quad + 1) * WIDTH, two + load(block, x + width))
        store(u, (4 * quad + 2) * WIDTH, three + load(block, x + 2 * width))
        store(u, (4 * quad + 3) * WIDTH, four + load(block, x + 3 * width))
    for row in range(count // 4 * 4, count):
        x = row * width
        one = load(block, x) * load(params, first)
        for column in range(1, size):
            one += load(block, x + column * WIDTH) * load(params, first + column * WIDTH)
        store(u, row * WIDTH, one + load(block, x + size * WIDTH))


@njit(error_model="numpy")
def add_gradient(block, count, size, u, gradients, of):
    """gradients[of:] (P, WIDTH) += the sum of psi x over `count` rows, four rows at a time, in pairs."""
    width = (size + 1) * WIDTH
    for column in range(size):
        x = column * WIDTH
        total = zeros(u)
        for quad in range(count // 4):
            v = 4 * quad * WIDTH
            first = load(block, x) * load(u, v) + load(block, x + width) * load(u, v + WIDTH)
            second = load(block, x + 2 * width) * load(u, v + 2 * WIDTH)
            second += load(block, x + 3 * width) * load(u, v + 3 * WIDTH)
            total += first + second
            x += 4 * width
        for row in range(count // 4 * 4, count):
            total += load(block, x) * load(u, row * WIDTH)
            x += width
        at = of + column * WIDTH
        store(gradients, at, load(gradients, at) + total)


@njit(error_model="numpy")
def write_row_gradients(block, count, size, u, target, at):
    """target[at:] (count, P, WIDTH) = psi x of each row."""
    for row in range(count):
        psi = load(u, row * WIDTH)
        for column in range(size):
            x = load(block, (row * (size + 1) + column) * WIDTH)
            store(target, at + (row * size + column) * WIDTH, psi * x)


@njit(error_model="numpy")
def make_step(state, first, size, gradients, of, rates, stopped, at):
    """w -= rate * gradient for the models that have not stopped; whether one of them stops now."""
    before = load(stopped, at)
    rate = load(rates, at)
    zero = before - before  # nan where a model has stopped
    now = zero
    for column in range(size):
        old = load(state, first + column * WIDTH)
        new = where_number(before, old - rate * load(gradients, of + column * WIDTH), old)
        store(state, first + column * WIDTH, new)
        now += new * zero  # 0 times a number is 0, times anything else nan
    if any_new_nan(now, before):
        store(stopped, at, now)
        return True
    return False


@njit(error_model="numpy")
def add_rows(u, count, sums, at):
    """sums[at:] (WIDTH,) += the sum of u (count, WIDTH), four rows at a time, in pairs."""
    total = zeros(u)
    for quad in range(count // 4):
        v = 4 * quad * WIDTH
        pairs = load(u, v) + load(u, v + WIDTH)
        total += pairs + (load(u, v + 2 * WIDTH) + load(u, v + 3 * WIDTH))
    for row in range(count // 4 * 4, count):
        total += load(u, row * WIDTH)
    store(sums, at, load(sums, at) + total)


@njit(error_model="numpy")
def divide(u, count, scale):
    """u (count, WIDTH) /= scale (WIDTH,)."""
    for row in range(count):
        store(u, row * WIDTH, load(u, row * WIDTH) / load(scale, 0))


@njit(error_model="numpy")
def multiply(u, count, scale):
    """u (count, WIDTH) *= scale (WIDTH,)."""
    for row in range(count):
        store(u, row * WIDTH, load(scale, 0) * load(u, row * WIDTH))


@njit(error_model="numpy")
def copy(u, count, target, at):
    """target[at:] = u (count, WIDTH)."""
    for row in range(count):
        store(target, at + row * WIDTH, load(u, row * WIDTH))
