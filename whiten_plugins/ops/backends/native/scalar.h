// The four passes where every row is alone: sums of rows, and multiples of
// them. Nothing is copied, and a row is read once.
#pragma once

#include <algorithm>
#include <vector>

#include "views.h"

// Columns that stay in the first cache between two looks at them.
constexpr Index kScalarBlock = 1 << 12;

// Sum over columns of values that `each` gives as registers and as numbers.
template <typename Each>
float sum_of(Index size, Each each) {
  constexpr Index kSums = 4;  // so that one need not wait for the other
  Vector sums[kSums] = {};
  Index m = 0;
  for (; m + kSums * kLanes <= size; m += kSums * kLanes)
    for (Index s = 0; s < kSums; ++s) sums[s] += each.vector(m + s * kLanes);
  for (; m + kLanes <= size; m += kLanes) sums[0] += each.vector(m);
  float rest = 0;
  for (; m < size; ++m) rest += each.scalar(m);
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
}

struct Values {
  const float* x;
  Vector vector(Index m) const { return load(x + m); }
  float scalar(Index m) const { return x[m]; }
};

struct Squares {
  const float* x;
  float center;
  Vector vector(Index m) const {
    const Vector offset = load(x + m) - center;
    return offset * offset;
  }
  float scalar(Index m) const {
    return (x[m] - center) * (x[m] - center);
  }
};

struct Products {
  const float *g, *x;
  float shift;
  Vector vector(Index m) const { return load(g + m) * (load(x + m) - shift); }
  float scalar(Index m) const { return g[m] * (x[m] - shift); }
};

// Count, mean and squares about it (Chan, Golub and LeVeque).
struct ScalarMoments {
  double count = 0, mean = 0, square = 0;

  void join(double size, double other, double squares) {
    const double offset = other - mean;
    count += size;
    mean += offset * size / count;
    square += squares + offset * offset * size * (count - size) / count;
  }

  void add(const float* x, Index size) {
    for (Index m = 0; m < size; m += kScalarBlock) {
      const Index length = std::min(kScalarBlock, size - m);
      const float center = sum_of(length, Values{x + m}) / length;
      join(length, center, sum_of(length, Squares{x + m, center}));
    }
  }
};

inline void scalar_moments(const View& x, const Shape& shape, bool shared,
                           float* mean, float* cov, int threads) {
  const Parts parts(shape, threads, shared);
  std::vector<ScalarMoments> found(parts.count);
  for_each(parts, [&](const Part& part, Index index) {
    ScalarMoments own;
    parts.columns.for_each_run(
        part.sample, part.begin, part.end,
        [&](Index sample, Index first, Index size, Index) {
          own.add(x.at(sample, part.entry, first), size);
        });
    found[index] = own;
  });
  for (Index g = 0; g < parts.count / parts.per_entry; ++g) {
    ScalarMoments all = found[g * parts.per_entry];
    for (Index p = 1; p < parts.per_entry; ++p) {
      const ScalarMoments& part = found[g * parts.per_entry + p];
      all.join(part.count, part.mean, part.square);
    }
    mean[g] = all.mean;
    cov[g] = all.square / all.count;
  }
}

// Sums of g and of g x, the latter about the first element of a part, so that
// no digits are lost where the mean is far larger than the deviation.
inline void scalar_gradients(const View& grad, const View& x,
                             const Shape& shape, bool shared, float* dA,
                             float* db, int threads) {
  struct Sums {
    double products, grads;
  };
  const Parts parts(shape, threads, shared);
  std::vector<Sums> found(parts.count);
  for_each(parts, [&](const Part& part, Index index) {
    Sums own{};
    parts.columns.for_each_run(
        part.sample, part.begin, part.end,
        [&](Index sample, Index first, Index size, Index) {
          const float* g = grad.at(sample, part.entry, first);
          const float* values = x.at(sample, part.entry, first);
          const float shift = values[0];
          for (Index m = 0; m < size; m += kScalarBlock) {
            const Index length = std::min(kScalarBlock, size - m);
            const double total = sum_of(length, Values{g + m});
            own.grads += total;
            own.products += total * shift;
            own.products +=
                sum_of(length, Products{g + m, values + m, shift});
          }
        });
    found[index] = own;
  });
  for (Index g = 0; g < parts.count / parts.per_entry; ++g) {
    Sums all{};
    for (Index p = 0; p < parts.per_entry; ++p) {
      all.products += found[g * parts.per_entry + p].products;
      all.grads += found[g * parts.per_entry + p].grads;
    }
    dA[g] = all.products;
    db[g] = all.grads;
  }
}

// out = A x + b, or A x + B z + b where z is given.
inline void scalar_map(const View& x, const View& A, const View* z,
                       const View* B, const View* b, const View& out,
                       const Shape& shape, int threads) {
  const Parts parts(shape, threads);
  for_each(parts, [&](const Part& part, Index) {
    const float* first = x.at(part.sample, part.entry, part.begin);
    float* target = out.at(part.sample, part.entry, part.begin);
    const float slope = *A.at(part.sample, part.entry);
    const float shift = b ? *b->at(part.sample, part.entry) : 0;
    const Index size = part.size(), whole = size / kLanes * kLanes;
    if (!z) {
      for (Index m = 0; m < whole; m += kLanes)
        store(target + m, load(first + m) * slope + shift);
      for (Index m = whole; m < size; ++m)
        target[m] = first[m] * slope + shift;
      return;
    }
    const float* second = z->at(part.sample, part.entry, part.begin);
    const float other = *B->at(part.sample, part.entry);
    for (Index m = 0; m < whole; m += kLanes)
      store(target + m,
            load(first + m) * slope + (load(second + m) * other + shift));
    for (Index m = whole; m < size; ++m)
      target[m] = first[m] * slope + (second[m] * other + shift);
  });
}
