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

constexpr Index kWorthAThread = 1 << 15;  // elements
constexpr Index kShortestPart = 1 << 8;   // columns

inline int useful_threads(Index elements, int available) {
  return static_cast<int>(
      std::clamp<Index>(elements / kWorthAThread, 1, available));
}

// Some columns of an entry of a sample.
struct Part {
  Index sample, entry, begin, end;
  Index size() const { return end - begin; }
};

// Cuts a view so that every thread has some work, however few the entries.
struct Parts {
  Index entries, size, length, per_entry, count;
  int threads;

  Parts(const Shape& shape, int available)
      : entries(shape.entries), size(shape.size) {
    const Index groups = shape.samples * entries;
    const Index work = groups * shape.rows * size;
    threads = useful_threads(work, available);
    const Index wanted = threads == 1 ? 1 : 1 + (4 * threads - 1) / groups;
    length = std::max(1 + (size - 1) / wanted, kShortestPart);
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
#pragma omp parallel num_threads(parts.threads) firstprivate(work)
#pragma omp for schedule(static)
  for (Index index = 0; index < parts.count; ++index) work(parts[index], index);
}
