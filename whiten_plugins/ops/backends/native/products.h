// Products: matrices times rows.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "registers.h"

// A matrix and the rows it multiplies.
struct Term {
  const float* matrix;
  Index row_stride, column_stride;
  const float* x;
  Index x_stride;
};

struct Product {
  Term terms[2];
  Index num_terms, rows;
  const float* bias;  // or null
  Index bias_stride;
  float* out;
  Index out_stride;
};

// Rows from `row` on of out = bias + the terms; kVectors registers divide
// the columns.
template <Index kRows, Index kVectors>
void product_tile(const Product& p, Index row, Index columns) {
  for (Index m = 0; m < columns; m += kVectors * kLanes) {
    Vector total[kRows][kVectors] = {};
    for (Index t = 0; t < p.num_terms; ++t) {
      const Term& term = p.terms[t];
      for (Index j = 0; j < p.rows; ++j) {
        Vector x[kVectors];
        for (Index v = 0; v < kVectors; ++v)
          x[v] = load(term.x + j * term.x_stride + m + v * kLanes);
        const float* factors =
            term.matrix + row * term.row_stride + j * term.column_stride;
        for (Index i = 0; i < kRows; ++i)
          for (Index v = 0; v < kVectors; ++v)
            total[i][v] += factors[i * term.row_stride] * x[v];
      }
    }
    for (Index i = 0; i < kRows; ++i) {
      const float bias = p.bias ? p.bias[(row + i) * p.bias_stride] : 0;
      for (Index v = 0; v < kVectors; ++v)
        store(p.out + (row + i) * p.out_stride + m + v * kLanes,
              total[i][v] + bias);
    }
  }
}

template <Index kVectors, Index... k>
constexpr auto product_tiles(std::integer_sequence<Index, k...>) {
  return std::array{product_tile<k + 1, kVectors>...};
}
constexpr auto kTileRows = std::make_integer_sequence<Index, kProductRows>();
constexpr auto kWideTiles = product_tiles<2>(kTileRows);
constexpr auto kNarrowTiles = product_tiles<1>(kTileRows);

inline void multiply(const Product& product, Index columns) {
  const auto& tiles =
      columns % (2 * kLanes) == 0 ? kWideTiles : kNarrowTiles;
  for (Index row = 0; row < product.rows; row += kProductRows)
    tiles[std::min(product.rows - row, kProductRows) - 1](product, row,
                                                          columns);
}
