// Cross-entropy of rows of logits: value and gradient with one exponential a logit.
//
// With m the largest logit of a row, e_c = exp(z_c - m) and r = sum_c e_c - 1 (the sum without one
// of the largest, so that it keeps its digits) the probabilities are p_c = e_c / (1 + r), their
// complements q_c = (1 + r - e_c) / (1 + r), for the largest r / (1 + r), and -ln p_c is
// (m - z_c) + ln(1 + r). For targets a_c that add up to A
//
//   L = sum_c a_c (m - z_c) + A ln(1 + r),   dL/dz_c = p_c (A - a_c) - a_c q_c,
//
// which are losses.forms.softmax.cross_entropy and index_cross_entropy.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "avx512.h"
#include "numbers.h"

namespace losses {

// Logits z[o][c][i], contiguous in i, and their gradients. `outer` or `inner` may be 1. An example
// is a pair (o, i).
template <class T>
struct Rows {
  const T* z;
  int64_t outer, classes, inner;
  // The class of each example, or probabilities with z's layout; the other is null.
  const int64_t* index;
  const T* target;
  int64_t ignored;
  // Weights of the classes; null: 1.
  const T* weight;
  double smoothing;
  // Outputs: the losses and the gradients; null: not computed.
  T *each, *gradient;
  // Factor of the gradients.
  T scale;

  // Per class, from `weights`: the target's weight, w_c (1 - smoothing), and that of smoothing,
  // w_c smoothing / C.
  const T *kept = nullptr, *shared = nullptr;
};

// The arrays of `Rows::kept` and `Rows::shared`, one after the other.
template <class T>
std::vector<T> weights(const Rows<T>& rows) {
  const auto classes = static_cast<size_t>(rows.classes);
  std::vector<T> found(2 * classes);
  for (size_t c = 0; c < classes; ++c) {
    const T w = rows.weight ? rows.weight[c] : T(1);
    found[c] = w * static_cast<T>(1 - rows.smoothing);
    found[classes + c] = w * static_cast<T>(rows.smoothing / static_cast<double>(rows.classes));
  }
  return found;
}

// max - z, 0 where they are equal, at infinity too.
template <class T>
inline T gap_to(T largest, T z) {
  return z == largest ? T(0) : largest - z;
}

// A row without a number above -infinity has no probabilities: its loss and gradients are NaN.
template <class T>
inline T largest_or_nan(T largest) {
  return largest == -infinity<T> ? std::numeric_limits<T>::quiet_NaN() : largest;
}

// --- one row of many classes, which lie next to each other ---------------------------------------

template <class T>
struct Row {
  T largest, rest, log_total;
  // 1 / (1 + r).
  T share;
};

// Writes e_c to `e`, which may be the gradient's memory, and returns their sum. `gap(z)` is z - m.
template <class T, class Gap>
T exp_and_sum(const T* z, int64_t classes, T* e, const Gap& gap) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < classes; ++c) sum += e[c] = decay(gap(z[c]));
  return sum;
}

// The same for a finite m; the row behind this one is prefetched.
template <class T>
T exp_and_sum_finite(const T* z, int64_t classes, T largest, T* e) {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float>)
    return exp_and_sum(z, classes, largest, e, z + classes, e + classes);
#endif
  return exp_and_sum(z, classes, e, [&](T x) { return x - largest; });
}

// Returns r from the sum of e. Below 1 it has lost digits in the sum and is added up again: only the
// largest exponential is 1 then.
template <class T>
T rest_of(T sum, const T* e, int64_t classes) {
  if (!(sum < 2)) return sum - 1;
  T rest = 0;
#pragma omp simd reduction(+ : rest)
  for (int64_t c = 0; c < classes; ++c) rest += e[c] == 1 ? T(0) : e[c];
  return rest;
}

template <class T>
Row<T> exponentiate_row(const T* z, int64_t classes, T* e) {
  T top = -infinity<T>;
#pragma omp simd reduction(max : top)
  for (int64_t c = 0; c < classes; ++c) top = z[c] > top ? z[c] : top;
  const T largest = largest_or_nan(top);
  // inf - inf is not 0.
  const T sum = magnitude(largest) < infinity<T>
                    ? exp_and_sum_finite(z, classes, largest, e)
                    : exp_and_sum(z, classes, e, [&](T x) { return -gap_to(largest, x); });
  const T rest = rest_of(sum, e, classes);
  return {largest, rest, log1p(rest), 1 / (1 + rest)};
}

// q_c of a logit z_c with e_c.
template <class T>
inline T complement(const Row<T>& row, T z, T e) {
  return row.share * (z == row.largest ? row.rest : 1 + row.rest - e);
}

// Returns the loss of row o and writes its gradient to g, which holds the exponentials before.
template <class T>
T index_row_loss(const Rows<T>& rows, int64_t o, T* g) {
  const int64_t classes = rows.classes, y = rows.index[o];
  const T* z = rows.z + o * classes;
  const Row<T> row = exponentiate_row(z, classes, g);
  const T a = rows.kept[y];
  T loss = a * (gap_to(row.largest, z[y]) + row.log_total);
  const T of_target = complement(row, z[y], g[y]);
  if (rows.smoothing == 0) {
    const T factor = rows.scale * a * row.share;
#pragma omp simd
    for (int64_t c = 0; c < classes; ++c) g[c] *= factor;
    g[y] = -rows.scale * a * of_target;
    return loss;
  }
  const T* shared = rows.shared;
  T smooth = 0, total = 0;
#pragma omp simd reduction(+ : smooth, total)
  for (int64_t c = 0; c < classes; ++c) {
    smooth += times(shared[c], gap_to(row.largest, z[c]));
    total += shared[c];
  }
  const T p = row.share * g[y], u = shared[y], scale = rows.scale;
  const T at_target = (total - u) * p - (a + u) * of_target;
#pragma omp simd
  for (int64_t c = 0; c < classes; ++c) {
    const T q = complement(row, z[c], g[c]);
    g[c] = scale * (row.share * g[c] * (a + total - shared[c]) - shared[c] * q);
  }
  g[y] = scale * at_target;
  return loss + smooth + total * row.log_total;
}

// The same for a target of probabilities.
template <class T>
T target_row_loss(const Rows<T>& rows, int64_t o, T* g) {
  const int64_t classes = rows.classes;
  const T* z = rows.z + o * classes;
  const T* t = rows.target + o * classes;
  const Row<T> row = exponentiate_row(z, classes, g);
  const T *kept = rows.kept, *shared = rows.shared;
  const T scale = rows.scale;
  T loss = 0, total = 0;
#pragma omp simd reduction(+ : loss, total)
  for (int64_t c = 0; c < classes; ++c) {
    const T a = kept[c] * t[c] + shared[c];
    loss += times(a, gap_to(row.largest, z[c]));
    total += a;
  }
#pragma omp simd
  for (int64_t c = 0; c < classes; ++c) {
    const T a = kept[c] * t[c] + shared[c];
    g[c] = scale * (row.share * g[c] * (total - a) - a * complement(row, z[c], g[c]));
  }
  return loss + total * row.log_total;
}

// --- contiguous examples, whose classes are `stride` apart ----------------------------------------

// Examples per tile.
constexpr int64_t TILE = 128;

template <class T>
struct Tile {
  const T *z, *t;
  const int64_t* index;
  T* g;
  int64_t size, classes;
  // Strides of the classes in z and t, and in g.
  int64_t stride, g_stride;
};

template <class T>
void tile_losses(const Rows<T>& rows, const Tile<T>& tile, T* loss) {
  T largest[TILE], below[TILE], ties[TILE], share[TILE], log_total[TILE], total[TILE];
  const int64_t size = tile.size, classes = tile.classes;
  for (int64_t i = 0; i < size; ++i) largest[i] = -infinity<T>;
  for (int64_t c = 0; c < classes; ++c) {
    const T* z = tile.z + c * tile.stride;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) largest[i] = z[i] > largest[i] ? z[i] : largest[i];
  }
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    largest[i] = largest_or_nan(largest[i]);
    below[i] = ties[i] = total[i] = loss[i] = 0;
  }
  for (int64_t c = 0; c < classes; ++c) {
    const T* z = tile.z + c * tile.stride;
    T* g = tile.g + c * tile.g_stride;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      const bool tied = z[i] == largest[i];
      const T one = decay(-gap_to(largest[i], z[i]));
      g[i] = one;
      below[i] += tied ? T(0) : one;
      ties[i] += tied ? T(1) : T(0);
    }
  }
  T* rest = below;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    rest[i] = below[i] + (ties[i] - 1);
    log_total[i] = log1p(rest[i]);
    share[i] = 1 / (1 + rest[i]);
  }
  const T scale = rows.scale;
  // First the part of the target that every class has, then the example's own class.
  if (tile.t || rows.smoothing > 0) {
    for (int64_t c = 0; c < classes; ++c) {
      const T* z = tile.z + c * tile.stride;
      const T* t = tile.t ? tile.t + c * tile.stride : nullptr;
      const T kept = rows.kept[c], shared = rows.shared[c];
      const auto add = [&](const auto& target_of) {
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) {
          const T a = target_of(i);
          loss[i] += times(a, gap_to(largest[i], z[i]));
          total[i] += a;
        }
      };
      if (t) add([&](int64_t i) { return kept * t[i] + shared; });
      else add([&](int64_t) { return shared; });
    }
  }
  T own[TILE], at_target[TILE];
  for (int64_t i = 0; i < size; ++i) {
    own[i] = at_target[i] = 0;
    if (!tile.index || tile.index[i] == rows.ignored) continue;
    const int64_t y = tile.index[i];
    const T z = tile.z[y * tile.stride + i], e = tile.g[y * tile.g_stride + i];
    const T a = rows.kept[y], u = rows.shared[y];
    const T q = share[i] * (z == largest[i] ? rest[i] : 1 + rest[i] - e);
    own[i] = a;
    at_target[i] = scale * ((total[i] - u) * share[i] * e - (a + u) * q);
    loss[i] += a * gap_to(largest[i], z);
  }
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    total[i] += own[i];
    loss[i] += total[i] * log_total[i];
  }
  for (int64_t c = 0; c < classes; ++c) {
    const T* z = tile.z + c * tile.stride;
    const T* t = tile.t ? tile.t + c * tile.stride : nullptr;
    T* g = tile.g + c * tile.g_stride;
    if (!t && rows.smoothing == 0) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) g[i] *= scale * total[i] * share[i];
      continue;
    }
    const T kept = rows.kept[c], shared = rows.shared[c];
    const auto derive = [&](const auto& target_of) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        const T a = target_of(i);
        const T q = share[i] * (z[i] == largest[i] ? rest[i] : 1 + rest[i] - g[i]);
        g[i] = scale * (share[i] * g[i] * (total[i] - a) - a * q);
      }
    };
    if (t) derive([&](int64_t i) { return kept * t[i] + shared; });
    else derive([&](int64_t) { return shared; });
  }
  if (!tile.index) return;
  for (int64_t i = 0; i < size; ++i) {
    if (tile.index[i] != rows.ignored) {
      tile.g[tile.index[i] * tile.g_stride + i] = at_target[i];
      continue;
    }
    loss[i] = 0;
    for (int64_t c = 0; c < classes; ++c) tile.g[c * tile.g_stride + i] = 0;
  }
}

// --- all rows ------------------------------------------------------------------------------------

// Rows of at most so many classes are transposed and computed as tiles.
constexpr int64_t MAX_TILED_CLASSES = 32;
constexpr int64_t ROWS_GRAIN = 16384;

template <class T>
double copy_and_sum(const T* loss, int64_t size, T* each) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += static_cast<double>(loss[i]);
  if (each) std::copy(loss, loss + size, each);
  return sum;
}

// Rows of few classes, [first, first + size) of them.
template <class T>
double short_row_losses(const Rows<T>& rows, int64_t first, int64_t size) {
  T z[TILE * MAX_TILED_CLASSES], t[TILE * MAX_TILED_CLASSES], g[TILE * MAX_TILED_CLASSES], loss[TILE];
  const int64_t classes = rows.classes;
  const T* from = rows.z + first * classes;
  const T* target = rows.target ? rows.target + first * classes : nullptr;
  for (int64_t i = 0; i < size; ++i)
    for (int64_t c = 0; c < classes; ++c) z[c * TILE + i] = from[i * classes + c];
  for (int64_t i = 0; target && i < size; ++i)
    for (int64_t c = 0; c < classes; ++c) t[c * TILE + i] = target[i * classes + c];
  const int64_t* index = rows.index ? rows.index + first : nullptr;
  tile_losses(rows, {z, target ? t : nullptr, index, g, size, classes, TILE, TILE}, loss);
  if (rows.gradient) {
    T* to = rows.gradient + first * classes;
    for (int64_t i = 0; i < size; ++i)
      for (int64_t c = 0; c < classes; ++c) to[i * classes + c] = g[c * TILE + i];
  }
  return copy_and_sum(loss, size, rows.each ? rows.each + first : nullptr);
}

// Rows of many classes.
template <class T>
double long_row_losses(const Rows<T>& rows, int64_t first, int64_t size, T* scratch) {
  T loss[TILE];
  for (int64_t k = 0; k < size; ++k) {
    const int64_t o = first + k;
    T* g = rows.gradient ? rows.gradient + o * rows.classes : scratch;
    if (rows.index && rows.index[o] == rows.ignored) {
      std::fill(g, g + rows.classes, T(0));
      loss[k] = 0;
    } else {
      loss[k] = rows.index ? index_row_loss(rows, o, g) : target_row_loss(rows, o, g);
    }
  }
  return copy_and_sum(loss, size, rows.each ? rows.each + first : nullptr);
}

// Examples [first, first + size) of the outer one o.
template <class T>
double column_losses(const Rows<T>& rows, int64_t o, int64_t first, int64_t size, T* scratch) {
  T loss[TILE];
  const int64_t at = o * rows.classes * rows.inner + first, row = o * rows.inner + first;
  Tile<T> tile{rows.z + at, rows.target ? rows.target + at : nullptr,
               rows.index ? rows.index + row : nullptr,
               rows.gradient ? rows.gradient + at : scratch,
               size, rows.classes, rows.inner, rows.gradient ? rows.inner : TILE};
  tile_losses(rows, tile, loss);
  return copy_and_sum(loss, size, rows.each ? rows.each + row : nullptr);
}

// The sum of the losses, the same for any number of threads: see `elementwise`.
template <class T, class Parallel>
double cross_entropy(Rows<T> rows, const Parallel& parallel) {
  const std::vector<T> of_classes = weights(rows);
  rows.kept = of_classes.data();
  rows.shared = rows.kept + rows.classes;
  const bool columns = rows.inner > 1, few = !columns && rows.classes <= MAX_TILED_CLASSES;
  // Long rows are one thread's one at a time, where there are few of them.
  const int64_t part = columns || few ? TILE : std::clamp<int64_t>(4096 / rows.classes, 1, TILE);
  const int64_t length = columns ? rows.inner : rows.outer;
  const int64_t tiles = (length + part - 1) / part, count = columns ? rows.outer * tiles : tiles;
  std::vector<double> sums(static_cast<size_t>(count));
  const int64_t grain = std::max<int64_t>(1, ROWS_GRAIN / (part * rows.classes));
  parallel(count, grain, [&](int64_t begin, int64_t end) {
    std::vector<T> scratch;
    if (!rows.gradient && !few) scratch.resize(static_cast<size_t>(rows.classes * (columns ? TILE : 1)));
    for (int64_t k = begin; k < end; ++k) {
      const int64_t first = k % tiles * part, size = std::min(part, length - first);
      double& sum = sums[static_cast<size_t>(k)];
      if (columns) sum = column_losses(rows, k / tiles, first, size, scratch.data());
      else if (few) sum = short_row_losses(rows, first, size);
      else sum = long_row_losses(rows, first, size, scratch.data());
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace losses
