// Outer products: rows by rows, summed over columns.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "registers.h"

// Columns of a block of `floats` elements.
inline Index block_columns(Index rows, Index floats) {
  return std::clamp<Index>(round_up(floats / rows, 2 * kLanes), 256, 1024);
}

// From row to row: a register more, so that they differ in their cache sets.
inline Index block_stride(Index columns) { return columns + kLanes; }

// Copies rows into a block, less a shift of each row. Adds the sums of the
// copies to total.
inline void pack(const float* x, Index x_stride, Index rows, Index size,
                 const float* shift, float* block, Index stride,
                 float* total) {
  const Index whole = size / (2 * kLanes) * (2 * kLanes);
  for (Index i = 0; i < rows; ++i) {
    const float* source = x + i * x_stride;
    float* target = block + i * stride;
    const float offset = shift ? shift[i] : 0;
    Vector sums[2] = {};
    for (Index m = 0; m < whole; m += 2 * kLanes)
      for (Index v = 0; v < 2; ++v) {
        const Vector value = load(source + m + v * kLanes) - offset;
        store(target + m + v * kLanes, value);
        sums[v] += value;
      }
    Index m = whole;
    for (; m + kLanes <= size; m += kLanes) {
      const Vector value = load(source + m) - offset;
      store(target + m, value);
      sums[0] += value;
    }
    float rest = 0;
    for (; m < size; ++m) rest += target[m] = source[m] - offset;
    if (total) total[i] += sum(sums[0] + sums[1]) + rest;
  }
}

// Zeros from `size` columns up to two whole registers.
inline void pad(float* block, Index rows, Index stride, Index size) {
  for (Index i = 0; i < rows; ++i)
    std::fill(block + i * stride + size,
              block + i * stride + round_up(size, 2 * kLanes), 0.0f);
}

// out += a b^T for kI and kJ rows. Small tiles have two sums of each, so that
// one need not wait for the other.
template <Index kI, Index kJ>
void outer_tile(const float* a, const float* b, Index stride, Index columns,
                float* out, Index out_stride) {
  constexpr Index kSums = kI * kJ < 8 ? 2 : 1;
  Vector total[kSums][kI][kJ] = {};
  for (Index m = 0; m < columns; m += kSums * kLanes)
    for (Index s = 0; s < kSums; ++s) {
      Vector left[kI];
      for (Index i = 0; i < kI; ++i)
        left[i] = load(a + i * stride + m + s * kLanes);
      for (Index j = 0; j < kJ; ++j) {
        const Vector right = load(b + j * stride + m + s * kLanes);
        for (Index i = 0; i < kI; ++i) total[s][i][j] += left[i] * right;
      }
    }
  for (Index i = 0; i < kI; ++i)
    for (Index j = 0; j < kJ; ++j)
      for (Index s = 0; s < kSums; ++s)
        out[i * out_stride + j] += sum(total[s][i][j]);
}

template <Index... k>
constexpr auto outer_tiles(std::integer_sequence<Index, k...>) {
  return std::array{outer_tile<k / kOuterRows + 1, k % kOuterRows + 1>...};
}
constexpr auto kOuterTiles = outer_tiles(
    std::make_integer_sequence<Index, kOuterRows * kOuterRows>());

// out += a b^T for two blocks; of a a^T only the upper triangle.
inline void outer(const float* a, const float* b, Index rows, Index stride,
           Index columns, float* out) {
  for (Index i = 0; i < rows; i += kOuterRows)
    for (Index j = a == b ? i : 0; j < rows; j += kOuterRows) {
      const Index tile = (std::min(rows - i, kOuterRows) - 1) * kOuterRows +
                         std::min(rows - j, kOuterRows) - 1;
      kOuterTiles[tile](a + i * stride, b + j * stride, stride, columns,
                        out + i * rows + j, rows);
    }
}
