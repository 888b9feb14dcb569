// The four passes over activations of ops/backends/torch/activations.py for float32 on a CPU.
//
// A pass takes rows in blocks of columns that stay in the cache, and forms
// every product of a block in registers.

#include <algorithm>
#include <utility>
#include <vector>

#include "outer.h"
#include "products.h"
#include "scalar.h"
#include "views.h"

namespace {

// As many rows as the hardware fetches ahead; more are copied row by row.
constexpr Index kRowsInPlace = 16;

// Columns whose mean stands in for that of all.
constexpr Index kColumnsOfShift = 64;

// A view of matrices and a view of the rows they multiply.
struct Operand {
  View matrices, x;
};

// Copies some columns of an entry of `part` into a block, and pads it.
void pack_columns(const View& x, const Columns& columns, const Part& part,
                  Index begin, Index end, Index rows, const float* shift,
                  float* block, Index stride, float* total) {
  columns.for_each_run(
      part.sample, begin, end,
      [&](Index sample, Index first, Index size, Index done) {
        pack(x.at(sample, part.entry, first), x.strides[2], rows, size, shift,
             block + done, stride, total);
      });
  pad(block, rows, stride, end - begin);
}

// Whether samples are short and share their coefficients, so that several
// together fill a register.
bool joined(const std::vector<Operand>& operands, const View* bias,
            const Shape& shape) {
  bool shared = !bias || bias->strides[0] == 0;
  for (const Operand& operand : operands)
    shared = shared && operand.matrices.strides[0] == 0;
  return shared && shape.samples > 1 && shape.size < kShortestPart;
}

// out = bias + the sum of matrices times rows, for every sample and entry.
void linear_map(const std::vector<Operand>& operands, const View* bias,
                const View& out, const Shape& shape, int threads) {
  const bool joins = joined(operands, bias, shape);
  const Parts parts(shape, threads, joins);
  const Index rows = shape.rows;
  const Index length = block_columns(rows, 1 << 12);
  const Index stride = block_stride(length);
  Scratch memory((operands.size() + 1) * rows * stride);
  for_each(parts, [&, memory](const Part& part, Index) mutable {
    Product product{};
    product.num_terms = operands.size();
    product.rows = rows;
    if (bias) {
      product.bias = bias->at(part.sample, part.entry);
      product.bias_stride = bias->strides[2];
    }
    for (Index m = part.begin; m < part.end; m += length) {
      const Index size = std::min(length, part.end - m);
      const bool in_place = !joins && size % (2 * kLanes) == 0;
      float* block = memory.data();
      for (Index t = 0; t < product.num_terms; ++t, block += rows * stride) {
        const auto& [matrices, x] = operands[t];
        Term& term = product.terms[t];
        term = {matrices.at(part.sample, part.entry), matrices.strides[2],
                matrices.strides[3], block, stride};
        if (in_place && rows <= kRowsInPlace) {
          term.x = x.at(part.sample, part.entry, m);
          term.x_stride = x.strides[2];
        } else {
          pack_columns(x, parts.columns, part, m, m + size, rows, nullptr,
                       block, stride, nullptr);
        }
      }
      product.out = in_place ? out.at(part.sample, part.entry, m) : block;
      product.out_stride = in_place ? out.strides[2] : stride;
      multiply(product, round_up(size, 2 * kLanes));
      if (in_place) continue;
      parts.columns.for_each_run(
          part.sample, m, m + size,
          [&](Index sample, Index first, Index count, Index done) {
            float* target = out.at(sample, part.entry, first);
            for (Index i = 0; i < rows; ++i)
              std::copy_n(block + i * stride + done, count,
                          target + i * out.strides[2]);
          });
    }
  });
}

// Joins means and sums of squares about them (Chan, Golub and LeVeque).
void join_moments(const Parts& parts, Index group, Index rows,
                  const float* means, const float* squares, float* mean,
                  float* cov) {
  const Index first = group * parts.per_entry;
  std::vector<double> joined(rows, 0), square(rows * rows, 0), offset(rows);
  for (Index p = first; p < first + parts.per_entry; ++p)
    for (Index i = 0; i < rows; ++i)
      joined[i] += static_cast<double>(parts[p].size()) / parts.size *
                   means[p * rows + i];
  for (Index p = first; p < first + parts.per_entry; ++p) {
    const Index size = parts[p].size();
    for (Index i = 0; i < rows; ++i)
      offset[i] = means[p * rows + i] - joined[i];
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < rows; ++j)
        square[i * rows + j] += squares[(p * rows + i) * rows + j] +
                                size * offset[i] * offset[j];
  }
  std::copy(joined.begin(), joined.end(), mean);
  for (Index k = 0; k < rows * rows; ++k) cov[k] = square[k] / parts.size;
}

// Adds the parts of an entry up.
void join_sums(const Parts& parts, Index group, Index length,
               const float* sums, float* total) {
  const float* first = sums + group * parts.per_entry * length;
  std::copy_n(first, length, total);
  for (Index p = 1; p < parts.per_entry; ++p)
    for (Index k = 0; k < length; ++k) total[k] += first[p * length + k];
}

}  // namespace

extern "C" {

// Of each sample, or shared by all.
void moments(const View* x, const Shape* shape, int shared, float* mean,
             float* cov, int threads) {
  if (shape->rows == 1)
    return scalar_moments(*x, *shape, shared, mean, cov, threads);
  const Parts parts(*shape, threads, shared);
  const Index rows = shape->rows;
  const Index length = block_columns(rows, 1 << 16);
  const Index stride = block_stride(length);
  const bool joins = parts.per_entry > 1;
  std::vector<float> means(joins ? parts.count * rows : 0);
  std::vector<float> squares(joins ? parts.count * rows * rows : 0);
  float* means_of_parts = joins ? means.data() : mean;
  float* squares_of_parts = joins ? squares.data() : cov;
  Scratch memory(rows * stride);
  std::vector<float> shift(rows), total(rows);
  for_each(parts, [&, memory, shift, total](const Part& part,
                                            Index index) mutable {
    float* square = squares_of_parts + index * rows * rows;
    std::fill_n(square, rows * rows, 0.0f);
    float* block = memory.data();
    // Sums are taken about the mean of the part's first columns, so that no
    // digits are lost where the mean is far larger than the deviation.
    const Index first = std::min(kColumnsOfShift, part.size());
    std::fill(shift.begin(), shift.end(), 0.0f);
    std::fill(total.begin(), total.end(), 0.0f);
    pack_columns(*x, parts.columns, part, part.begin, part.begin + first, rows,
                 nullptr, block, stride, shift.data());
    for (float& value : shift) value /= first;
    for (Index m = part.begin; m < part.end; m += length) {
      const Index size = std::min(length, part.end - m);
      pack_columns(*x, parts.columns, part, m, m + size, rows, shift.data(),
                   block, stride, total.data());
      outer(block, block, rows, stride, round_up(size, 2 * kLanes), square);
    }
    for (Index i = 0; i < rows; ++i) {
      for (Index j = i; j < rows; ++j) {
        square[i * rows + j] -= total[i] * (total[j] / part.size());
        square[j * rows + i] = square[i * rows + j];
      }
      means_of_parts[index * rows + i] = shift[i] + total[i] / part.size();
    }
    for (Index k = 0; !joins && k < rows * rows; ++k) square[k] /= part.size();
  });
  for (Index g = 0; joins && g < parts.count / parts.per_entry; ++g)
    join_moments(parts, g, rows, means.data(), squares.data(),
                 mean + g * rows, cov + g * rows * rows);
}

void affine(const View* x, const View* A, const View* b, const View* out,
            const Shape* shape, int threads) {
  if (shape->rows == 1)
    return scalar_map(*x, *A, nullptr, nullptr, b, *out, *shape, threads);
  linear_map({{*A, *x}}, b, *out, *shape, threads);
}

// Of each sample, or summed over all.
void affine_gradients(const View* grad, const View* x, const Shape* shape,
                      int shared, float* dA, float* db, int threads) {
  if (shape->rows == 1)
    return scalar_gradients(*grad, *x, *shape, shared, dA, db, threads);
  const Parts parts(*shape, threads, shared);
  const Index rows = shape->rows;
  const Index length = block_columns(rows, 1 << 16);
  const Index stride = block_stride(length);
  // One part of an entry is all of it.
  const bool joins = parts.per_entry > 1;
  std::vector<float> outers(joins ? parts.count * rows * rows : 0);
  std::vector<float> sums(joins ? parts.count * rows : 0);
  float* outers_of_parts = joins ? outers.data() : dA;
  float* sums_of_parts = joins ? sums.data() : db;
  Scratch memory(2 * rows * stride);
  std::vector<float> shift(rows);
  for_each(parts, [&, memory, shift](const Part& part, Index index) mutable {
    float* outers_of = outers_of_parts + index * rows * rows;
    float* sums_of = sums_of_parts + index * rows;
    std::fill_n(outers_of, rows * rows, 0.0f);
    std::fill_n(sums_of, rows, 0.0f);
    float* grads = memory.data();
    float* inputs = grads + rows * stride;
    // x is taken less its first column, for the same reason.
    const Index begin = part.begin;
    std::fill(shift.begin(), shift.end(), 0.0f);
    parts.columns.for_each_run(
        part.sample, begin, begin + 1,
        [&](Index sample, Index first, Index, Index) {
          const float* column = x->at(sample, part.entry, first);
          for (Index i = 0; i < rows; ++i) shift[i] = column[i * x->strides[2]];
        });
    for (Index m = begin; m < part.end; m += length) {
      const Index end = std::min(m + length, part.end);
      pack_columns(*grad, parts.columns, part, m, end, rows, nullptr, grads,
                   stride, sums_of);
      pack_columns(*x, parts.columns, part, m, end, rows, shift.data(), inputs,
                   stride, nullptr);
      outer(grads, inputs, rows, stride, round_up(end - m, 2 * kLanes),
            outers_of);
    }
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < rows; ++j)
        outers_of[i * rows + j] += sums_of[i] * shift[j];
  });
  for (Index g = 0; joins && g < parts.count / parts.per_entry; ++g) {
    join_sums(parts, g, rows * rows, outers.data(), dA + g * rows * rows);
    join_sums(parts, g, rows, sums.data(), db + g * rows);
  }
}

void input_gradient(const View* grad, const View* x, const View* A,
                    const View* B, const View* d, const View* out,
                    const Shape* shape, int threads) {
  if (shape->rows == 1)
    return scalar_map(*grad, *A, B ? x : nullptr, B, d, *out, *shape, threads);
  View transposed = *A;
  std::swap(transposed.strides[2], transposed.strides[3]);
  std::vector<Operand> operands{{transposed, *grad}};
  if (B) operands.push_back({*B, *x});
  linear_map(operands, d, *out, *shape, threads);
}

}  // extern "C"
