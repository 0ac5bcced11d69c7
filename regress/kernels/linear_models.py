"""Minibatch SGD, mean losses and residuals of linear models, one model in each slot of a vector.

A tile holds K layers of WIDTH slots. A slot reads the rows of one stream in one order, the same in every
layer, so that a batch's rows are gathered once for K models.

Shapes: n rows of C = P + 1 columns, the last of which is minus the target; P parameters; E epochs.
"""

import numpy as np
from numba import njit

from regress.kernels import WIDTH
from regress.kernels.vector import any_new_nan, gather, load, select_unless_nan, store, zeros

# All functions below are compiled. The arguments psi and rho are kernels (u, count, constants) that replace
# the first `count` elements of u by the function's values.

BLOCK = 64  # rows whose residuals are held at once; gradients are summed within a block, then over blocks


def descend(
    psi,
    constants,  # (c,) of the loss
    scale,  # (WIDTH,) scale of the residuals, used if is_scaled
    is_scaled,
    rows,  # (R, n, C)
    orders,  # (O, E, n) row indices, or (O, 1, n) if all epochs have the same order
    source,  # (WIDTH,) which of the R streams each slot reads
    order_of,  # (WIDTH,) which of the O orders each slot follows
    batch_size,
    visited,  # number of the n rows that an epoch visits
    rates,  # (2, K, WIDTH) lr / divisor, for full batches and for the last, smaller batch
    state,  # (K, S, WIDTH) the P parameters first, then any further state of an optimiser
    stopped,  # (K, WIDTH) 0, or nan from the step at which a parameter became non-finite
    first_nonfinite,  # (K, WIDTH) that step, counted from 1, or 0
    steps_before,  # number of steps made in earlier calls
    path,  # (E, K, P, WIDTH) output: the parameters at the end of each epoch
    row_gradients,  # (n, P, WIDTH) output: those of layer 0 in the last epoch, as visited; or (0, P, WIDTH)
):
    """Train the models of a tile for E epochs; a model stops at the step where it becomes non-finite."""
    columns = rows.shape[2]
    size = columns - 1
    layers, state_size = state.shape[:2]
    flat, stopped_flat = state.reshape(-1), stopped.reshape(-1)
    u = np.empty(BLOCK * WIDTH, state.dtype)
    block = np.empty(BLOCK * columns * WIDTH, state.dtype)
    gradients = np.empty(layers * size * WIDTH, state.dtype)
    indices = np.empty(WIDTH, np.intp)
    step = steps_before
    for epoch in range(len(path)):
        order_epoch = epoch if orders.shape[1] > 1 else 0
        for start in range(0, visited, batch_size):
            stop = min(start + batch_size, visited)
            gradients[:] = 0
            for first in range(start, stop, BLOCK):
                count = min(BLOCK, stop - first)
                gather_rows(rows, orders, order_epoch, first, count, source, order_of, indices, block)
                for layer in range(layers):
                    write_residuals(block, count, size, flat, layer * state_size * WIDTH, u)
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
                w_start, gradient_start = layer * state_size * WIDTH, layer * size * WIDTH
                if make_step(
                    flat, w_start, size, gradients, gradient_start, rate, stopped_flat, layer * WIDTH
                ):
                    for slot in range(WIDTH):
                        if np.isnan(stopped[layer, slot]) and first_nonfinite[layer, slot] == 0:
                            first_nonfinite[layer, slot] = step
        path[epoch] = state[:, :size]


def mean_loss(
    rho,
    constants,  # (c,) of the loss
    scale,  # (WIDTH,) scale of the residuals, used if is_scaled
    is_scaled,
    rows,  # (R, n, C)
    source,  # (WIDTH,) which of the R streams each slot reads
    params,  # (K, P, WIDTH)
    means,  # (K, WIDTH) output: the mean of rho over all rows of each slot's stream
):
    """Compute the mean losses of a tile's models over all rows; sums of BLOCK rows are added in order."""
    length, columns = rows.shape[1:]
    size = columns - 1
    flat, sums = params.reshape(-1), means.reshape(-1)
    orders = in_order(length)
    order_of = np.zeros(WIDTH, np.intp)
    u = np.empty(BLOCK * WIDTH, params.dtype)
    block = np.empty(BLOCK * columns * WIDTH, params.dtype)
    indices = np.empty(WIDTH, np.intp)
    sums[:] = 0
    for first in range(0, length, BLOCK):
        count = min(BLOCK, length - first)
        gather_rows(rows, orders, 0, first, count, source, order_of, indices, block)
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
    source,  # (WIDTH,) which of the R streams each slot reads
    params,  # (P, WIDTH)
    result,  # (n, WIDTH) output: prediction minus target
):
    """Compute the residuals of WIDTH models on all rows of their streams."""
    length, columns = rows.shape[1:]
    flat, target = params.reshape(-1), result.reshape(-1)
    orders = in_order(length)
    order_of = np.zeros(WIDTH, np.intp)
    u = np.empty(BLOCK * WIDTH, params.dtype)
    block = np.empty(BLOCK * columns * WIDTH, params.dtype)
    indices = np.empty(WIDTH, np.intp)
    for first in range(0, length, BLOCK):
        count = min(BLOCK, length - first)
        gather_rows(rows, orders, 0, first, count, source, order_of, indices, block)
        write_residuals(block, count, columns - 1, flat, 0, u)
        copy(u, count, target, first * WIDTH)


@njit(error_model="numpy")
def in_order(length):
    """Return orders (1, 1, n) in which the rows are visited as they are stored."""
    return np.arange(length).reshape(1, 1, length)


@njit(error_model="numpy")
def gather_rows(rows, orders, epoch, start, count, source, order_of, indices, block):
    """Copy each slot's rows from position `start` of its order on to block (count, C, WIDTH).

    `indices` (WIDTH,) is work space.
    """
    length, columns = rows.shape[1:]
    flat = rows.reshape(-1)
    at = 0
    for row in range(count):
        for slot in range(WIDTH):
            index = orders[order_of[slot], epoch, start + row]
            indices[slot] = (source[slot] * length + index) * columns
        for column in range(columns):
            store(block, at, gather(flat, indices, column))
            at += WIDTH


@njit(error_model="numpy")
def write_residuals(block, count, size, params, first, u):
    """Write u (count, WIDTH) = w_1 x_1 + w_2 x_2 + ... - y, added from left to right, four rows at a time.

    `params` holds w from index `first` on.
    """
    width = (size + 1) * WIDTH
    for quad in range(count // 4):
        x = 4 * quad * width
        w = load(params, first)
        u0, u1 = load(block, x) * w, load(block, x + width) * w
        u2, u3 = load(block, x + 2 * width) * w, load(block, x + 3 * width) * w
        for column in range(1, size):
            x += WIDTH
            w = load(params, first + column * WIDTH)
            u0 += load(block, x) * w
            u1 += load(block, x + width) * w
            u2 += load(block, x + 2 * width) * w
            u3 += load(block, x + 3 * width) * w
        x += WIDTH
        store(u, 4 * quad * WIDTH, u0 + load(block, x))
        store(u, (4 * quad + 1) * WIDTH, u1 + load(block, x + width))
        store(u, (4 * quad + 2) * WIDTH, u2 + load(block, x + 2 * width))
        store(u, (4 * quad + 3) * WIDTH, u3 + load(block, x + 3 * width))
    for row in range(count // 4 * 4, count):
        x = row * width
        u0 = load(block, x) * load(params, first)
        for column in range(1, size):
            u0 += load(block, x + column * WIDTH) * load(params, first + column * WIDTH)
        store(u, row * WIDTH, u0 + load(block, x + size * WIDTH))


@njit(error_model="numpy")
def add_gradient(block, count, size, u, gradients, start):
    """Add the sum of psi x over `count` rows to gradients[start:] (P, WIDTH).

    `u` (count, WIDTH) holds psi. Rows are added four at a time, in pairs.
    """
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
        at = start + column * WIDTH
        store(gradients, at, load(gradients, at) + total)


@njit(error_model="numpy")
def write_row_gradients(block, count, size, u, target, at):
    """Write the gradient psi x of each row to target[at:] (count, P, WIDTH).

    `u` (count, WIDTH) holds psi.
    """
    for row in range(count):
        psi = load(u, row * WIDTH)
        for column in range(size):
            x = load(block, (row * (size + 1) + column) * WIDTH)
            store(target, at + (row * size + column) * WIDTH, psi * x)


@njit(error_model="numpy")
def make_step(state, w_start, size, gradients, gradient_start, rates, stopped, at):
    """Update w -= rate * gradient of the models that have not stopped; return whether any of them stops.

    `state` holds w from index `w_start` on, `gradients` the gradient from `gradient_start` on, and `rates`
    and `stopped` the layer's slots from `at` on.
    """
    before = load(stopped, at)
    rate = load(rates, at)
    zero = before - before  # nan if the model has stopped
    now = zero
    for column in range(size):
        old = load(state, w_start + column * WIDTH)
        new = select_unless_nan(before, old - rate * load(gradients, gradient_start + column * WIDTH), old)
        store(state, w_start + column * WIDTH, new)
        now += new * zero  # 0 times a finite number is 0, times inf or nan it is nan
    if any_new_nan(now, before):
        store(stopped, at, now)
        return True
    return False


@njit(error_model="numpy")
def add_rows(u, count, sums, at):
    """Add the sum of u (count, WIDTH) over its rows to sums[at:] (WIDTH,).

    Rows are added four at a time, in pairs.
    """
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
    """Divide u (count, WIDTH) by scale (WIDTH,) in place."""
    for row in range(count):
        store(u, row * WIDTH, load(u, row * WIDTH) / load(scale, 0))


@njit(error_model="numpy")
def multiply(u, count, scale):
    """Multiply u (count, WIDTH) by scale (WIDTH,) in place."""
    for row in range(count):
        store(u, row * WIDTH, load(scale, 0) * load(u, row * WIDTH))


@njit(error_model="numpy")
def copy(u, count, target, at):
    """Copy u (count, WIDTH) to target[at:]."""
    for row in range(count):
        store(target, at + row * WIDTH, load(u, row * WIDTH))
