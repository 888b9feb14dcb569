// Means and covariances of groups of rows.
#pragma once

#include "registers.h"

// Mirrored in library.py.
struct Moments {
  float* mean;  // (samples or 1, groups, rows)
  float* cov;   // (samples or 1, groups, rows, rows)

  // Null where there are none.
  float* cov_from(Index first) const { return cov ? cov + first : nullptr; }
};
