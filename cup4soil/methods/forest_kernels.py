"""Compiled loop of the quantile forest: which leaves a block of pixels reaches.

Pixels are taken in blocks. A block visits one tree after the other: the tree's nodes are read once from
end to end, which memory does fast, and are then in the cache for the random steps of all pixels of the
block. Eight pixels walk in step, in registers, so that their waits overlap. Features and thresholds are
compared as integers of the same order (:func:`ordered`), so that a node is one word of 64 bits.

The loops hold no lock of the interpreter and share nothing: callers run them in threads of their own.
(numba's parallel loops are not used because their default thread pool ends the process when two
threads of a server call it at once.)

Every index is trusted here; :mod:`cup4soil.methods.forest_trees` checks them beforehand.
"""

import numba
import numpy as np
from numpy.typing import NDArray

# A node is a word: the threshold in the upper 32 bits, then 10 bits of the feature and 22 of ``left``,
# counted from the tree's root. Pixels with ``feature <= threshold`` go to ``left``, others to the node after
# it. A leaf has the largest threshold and itself as ``left``: a walker that has arrived stays.
LINK_BITS = 22
MAX_FEATURES = 1 << (32 - LINK_BITS)
MAX_TREE_NODES = 1 << LINK_BITS
LARGEST = np.uint32(2**32 - 1)

BLOCK = 4096
STEP = 8
# Rows of the leaf table are a little longer: at a power of two, a pixel's column would fall on few cache lines.
ROW = BLOCK + 16
_LEFT = np.uint32(MAX_TREE_NODES - 1)
_SHIFT = np.uint32(LINK_BITS)
_HALF = np.uint64(32)
_ROOT = np.uint32(0)
_SIGN = np.int32(-(2**31))
# Reading a whole tree pays for as many pixels as this.
WORTH_READING = 64
_NODES_IN_LINE, _LEAVES_IN_LINE = 8, 16


def ordered(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Integers in the order of ``values``, none of them NaN; both zeros are one."""
    bits = (values + np.float32(0)).view(np.int32)
    return (bits ^ ((bits >> np.int32(31)) | _SIGN)).view(np.uint32)


@numba.njit(cache=True, nogil=True)
def walk(
    codes: NDArray[np.uint32],
    count: int,
    nodes: NDArray[np.uint64],
    tree_start: NDArray[np.int64],
    leaf_of: NDArray[np.int32],
    leaves: NDArray[np.int32],
) -> int:
    """Fill ``leaves`` (trees, ROW) with the leaves that the first ``count`` pixels of ``codes`` reach.

    ``codes``: (pixels, f), :func:`ordered` features of up to BLOCK pixels, a multiple of STEP. Returns
    a number of no meaning, without which reading the trees ahead would be dropped as useless.
    """
    x = codes.ravel()
    width = np.uint32(codes.shape[1])
    read = np.uint64(0)
    for t in range(tree_start.size - 1):
        tree = nodes[tree_start[t] : tree_start[t + 1]]
        leaf = leaf_of[tree_start[t] : tree_start[t + 1]]
        if count >= WORTH_READING:
            for node in range(0, tree.size, _NODES_IN_LINE):
                read |= tree[node]
            for node in range(0, leaf.size, _LEAVES_IN_LINE):
                read |= np.uint64(leaf[node])
        for first in range(0, count, STEP):
            _eight(x, np.uint32(first) * width, width, tree, leaf, leaves[t, first : first + STEP])
    return int(read)


@numba.njit(cache=True, nogil=True, inline="always")
def next_node(tree, x, start, here):  # type: ignore[no-untyped-def]
    """The node after ``here`` for the pixel whose features begin at ``start``."""
    node = tree[here]
    link = np.uint32(node)
    # Unsigned and in this order the comparison is a carry, which one instruction adds.
    return (link & _LEFT) + np.uint32(np.uint32(node >> _HALF) < x[start + (link >> _SHIFT)])


@numba.njit(cache=True, nogil=True)
def _eight(x, start, width, tree, leaf, reached):  # type: ignore[no-untyped-def]
    """Leaves of eight pixels: as separate variables, because registers have no index."""
    s0 = start
    s1 = s0 + width
    s2 = s1 + width
    s3 = s2 + width
    s4 = s3 + width
    s5 = s4 + width
    s6 = s5 + width
    s7 = s6 + width
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = _ROOT
    moved = True
    while moved:
        b0 = next_node(tree, x, s0, a0)
        b1 = next_node(tree, x, s1, a1)
        b2 = next_node(tree, x, s2, a2)
        b3 = next_node(tree, x, s3, a3)
        b4 = next_node(tree, x, s4, a4)
        b5 = next_node(tree, x, s5, a5)
        b6 = next_node(tree, x, s6, a6)
        b7 = next_node(tree, x, s7, a7)
        a0 = next_node(tree, x, s0, b0)
        a1 = next_node(tree, x, s1, b1)
        a2 = next_node(tree, x, s2, b2)
        a3 = next_node(tree, x, s3, b3)
        a4 = next_node(tree, x, s4, b4)
        a5 = next_node(tree, x, s5, b5)
        a6 = next_node(tree, x, s6, b6)
        a7 = next_node(tree, x, s7, b7)
        left = (a0 ^ b0) | (a1 ^ b1) | (a2 ^ b2) | (a3 ^ b3) | (a4 ^ b4) | (a5 ^ b5) | (a6 ^ b6) | (a7 ^ b7)
        moved = left != _ROOT
    reached[0] = leaf[a0]
    reached[1] = leaf[a1]
    reached[2] = leaf[a2]
    reached[3] = leaf[a3]
    reached[4] = leaf[a4]
    reached[5] = leaf[a5]
    reached[6] = leaf[a6]
    reached[7] = leaf[a7]
