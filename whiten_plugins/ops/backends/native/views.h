// Activations as (samples, entries, rows, size), and their parts.
#pragma once

#include <algorithm>

#include "registers.h"

// The elements of a row lie next to each other. Mirrored in library.py.
struct View {
  float* data;
  Index strides[4];

  float* at(Index sample, Index entry, Index column = 0) const {
    return data + sample * strides[0] + entry * strides[1] +
           column * strides[3];
  }
};

struct Shape {
  Index samples, entries, rows, size;
};

constexpr Index kShortestPart = 1 << 8;   // columns
constexpr Index kLongestPart = 1 << 16;  // so that sums keep their digits

// Below this a parallel region costs more than it saves, above all where
// another process has a core.
constexpr double kWorthAThread = 30e3;  // nanoseconds

inline int useful_threads(double nanoseconds, int available) {
  return static_cast<int>(
      std::clamp(nanoseconds / kWorthAThread, 1.0, double(available)));
}

// Of products, from registers.
inline double time_of_products(double multiplications) {
  return multiplications / (2 * kLanes);
}

// Of a pass that multiplies each element by some rows.
inline double time_of_pass(double elements, Index rows) {
  return elements / 2 + time_of_products(elements * rows);
}

// Some columns of an entry of a sample.
struct Part {
  Index sample, entry, begin, end;
  Index size() const { return end - begin; }
};

// The columns of an entry in a row: those of one sample, or of all samples
// one after the other where these share what is computed.
struct Columns {
  Index samples, size;  // of each sample

  Index total() const { return samples * size; }

  // Runs work(sample, first column in it, columns, columns done so far).
  template <typename Work>
  void for_each_run(Index sample, Index begin, Index end, Work work) const {
    for (Index at = begin; at < end;) {
      const Index first = at % size;
      const Index length = std::min(size - first, end - at);
      work(sample + at / size, first, length, at - begin);
      at += length;
    }
  }
};

// Cuts a view so that every thread has some work, however few the entries.
struct Parts {
  Index entries, size, length, per_entry, count;
  int threads;
  Columns columns;

  Parts(const Shape& shape, int available, bool shared = false)
      : entries(shape.entries),
        columns{shared ? shape.samples : 1, shape.size} {
    size = columns.total();
    const Index groups = (shared ? 1 : shape.samples) * entries;
    threads = useful_threads(
        time_of_pass(double(groups) * shape.rows * size, shape.rows),
        available);
    const Index wanted = threads == 1 ? 1 : 1 + (4 * threads - 1) / groups;
    length = std::clamp(1 + (size - 1) / wanted, kShortestPart, kLongestPart);
    length = round_up(length, 2 * kLanes);
    per_entry = 1 + (size - 1) / length;
    count = groups * per_entry;
  }

  Part operator[](Index index) const {
    const Index group = index / per_entry;
    const Index begin = index % per_entry * length;
    return {group / entries, group % entries, begin,
            std::min(begin + length, size)};
  }
};

// Runs work(part, index) for every part. Each thread copies the work, and
// with it the scratch memory that it owns.
template <typename Work>
void for_each(const Parts& parts, Work work) {
#pragma omp parallel num_threads(parts.threads) if (parts.threads > 1) \
    firstprivate(work)
#pragma omp for schedule(static)
  for (Index index = 0; index < parts.count; ++index) work(parts[index], index);
}
