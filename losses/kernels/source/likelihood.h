// The negative log-likelihood of log-probabilities: -w_y x_y.
#pragma once

#include <algorithm>
#include <vector>

#include "softmax.h"

namespace losses {

// z are log-probabilities; `index`, `ignored`, `weight`, `each`, `gradient` and `scale` are those of
// cross-entropy.
template <class T, class Parallel>
double nll(const Rows<T>& rows, const Parallel& parallel) {
  const int64_t count = rows.outer * rows.classes * rows.inner;
  if (rows.gradient)
    parallel(count, ROWS_GRAIN, [&](int64_t begin, int64_t end) {
      std::fill(rows.gradient + begin, rows.gradient + end, T(0));
    });
  double total = 0;
  for (int64_t o = 0; o < rows.outer; ++o)
    for (int64_t i = 0; i < rows.inner; ++i) {
      const int64_t example = o * rows.inner + i, y = rows.index[example];
      const bool kept = y != rows.ignored;
      const T w = kept && rows.weight ? rows.weight[y] : T(kept);
      const int64_t at = (o * rows.classes + (kept ? y : 0)) * rows.inner + i;
      const T loss = kept ? -w * rows.z[at] : T(0);
      total += static_cast<double>(loss);
      if (rows.each) rows.each[example] = loss;
      if (rows.gradient && kept) rows.gradient[at] = -w * rows.scale;
    }
  return total;
}

}  // namespace losses
