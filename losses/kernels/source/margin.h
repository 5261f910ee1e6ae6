// Losses over pairs of a listed and an unlisted class of a row.
#pragma once

#include <algorithm>
#include <vector>

#include "numbers.h"

namespace losses {

template <class T>
struct PairRows {
  const T* z;
  // A list of class indices per row of z, up to the first negative one.
  const int64_t* lists;
  int64_t rows, classes, length;
  // A factor per class, that of a row's first index; null: 1.
  const T* weight;
  // Outputs: the losses and the gradients; null: not computed.
  T *each, *gradient;
  T scale;

  T factor(int64_t row) const { return weight ? weight[lists[row * length]] : T(1); }
};

// margin + a - b with the rounding error of the difference added; see losses.forms.margin.
template <class T>
inline T margin_plus_difference(T margin, T a, T b) {
  const T difference = a == b ? T(0) : a - b;
  const T taken = difference - a;
  const T lost = (a - (difference - taken)) - (b + taken);
  return (margin + difference) + (magnitude(lost) < infinity<T> ? lost : T(0));
}

// sum over listed l and unlisted c of max(0, margin - z_l + z_c)^Power over the classes of a row.
template <int Power>
struct Pairs {
  double margin;

  // `unlisted` is scratch memory: 1 for every class before and after the call.
  template <class T>
  T operator()(const PairRows<T>& rows, int64_t row, T* g, T* unlisted) const {
    const int64_t classes = rows.classes;
    const T* z = rows.z + row * classes;
    const int64_t* list = rows.lists + row * rows.length;
    const int64_t* end = std::find_if(list, list + rows.length, [](int64_t y) { return y < 0; });
    for (const int64_t* l = list; l < end; ++l) unlisted[*l] = 0;
    std::fill(g, g + classes, T(0));
    T loss = 0;
    for (const int64_t* l = list; l < end; ++l) {
      const T at = z[*l], m = static_cast<T>(margin);
      T more = 0, slopes = 0;
#pragma omp simd reduction(+ : more, slopes)
      for (int64_t c = 0; c < classes; ++c) {
        const T u = margin_plus_difference(m, z[c], at), over = u < 0 ? T(0) : u;
        const bool counts = unlisted[c] != 0;
        const T slope = counts ? (Power == 1 ? (u > 0 ? T(1) : T(0)) : 2 * over) : T(0);
        more += counts ? (Power == 1 ? over : over * over) : T(0);
        slopes += slope;
        g[c] += slope;
      }
      loss += more;
      g[*l] -= slopes;
    }
    for (const int64_t* l = list; l < end; ++l) unlisted[*l] = 1;
    const T share = rows.factor(row) / static_cast<T>(classes), factor = share * rows.scale;
#pragma omp simd
    for (int64_t c = 0; c < classes; ++c) g[c] *= factor;
    return loss * share;
  }
};

// Returns the sum of the losses; it does not depend on the number of threads.
template <class Loss, class T, class Parallel>
double pairs_loss(const Loss& loss, const PairRows<T>& rows, const Parallel& parallel) {
  std::vector<double> sums(static_cast<size_t>(rows.rows));
  const int64_t grain = std::max<int64_t>(1, 16384 / (rows.classes * rows.length));
  parallel(rows.rows, grain, [&](int64_t begin, int64_t end) {
    const auto classes = static_cast<size_t>(rows.classes);
    std::vector<T> unlisted(classes, T(1)), scratch(rows.gradient ? 0 : classes);
    for (int64_t row = begin; row < end; ++row) {
      T* g = rows.gradient ? rows.gradient + row * rows.classes : scratch.data();
      const T found = loss(rows, row, g, unlisted.data());
      if (rows.each) rows.each[row] = found;
      sums[static_cast<size_t>(row)] = static_cast<double>(found);
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace losses
