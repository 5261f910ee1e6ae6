// Losses of rows with a list of right classes: the sum over the pairs of a listed class l and an
// unlisted class c of value(z_c, z_l), over the number of classes.
#pragma once

#include "memory.h"
#include "softmax.h"

namespace losses {

// Numbers per thread, at least.
constexpr int64_t GRAIN = 16384;

template <class T, class Loss>
struct Lists {
  const Job& job;
  const Loss loss;
  const int classes;

  // Memory of one thread: the row, its gradient, and 1 for every class that is not listed.
  struct Room {
    std::vector<T> z, g, unlisted;
  };

  // Calls f(l, unlisted) for the classes of a row's list, which ends at the first negative number.
  template <class F>
  void for_each_listed(int64_t row, Room& room, const F& f) const {
    const int64_t* list = job.index + row * classes;
    const int64_t* end = std::find_if(list, list + classes, [](int64_t y) { return y < 0; });
    std::fill(room.unlisted.begin(), room.unlisted.end(), T(1));
    for (const int64_t* l = list; l < end; ++l) room.unlisted[static_cast<size_t>(*l)] = 0;
    for (const int64_t* l = list; l < end; ++l) f(*l);
  }

  double value(int64_t row, const T* z, Room& room) const {
    const T* unlisted = room.unlisted.data();
    double total = 0;
    for_each_listed(row, room, [&](int64_t l) {
      const Loss form = loss;
      const T of_listed = z[l];
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int c = 0; c < classes; ++c) sum += select<T>(unlisted[c] != 0, form.value(z[c], of_listed), T(0));
      total += static_cast<double>(sum);
    });
    return total / classes;
  }

  void gradient(int64_t row, const T* z, T scale, T* g, Room& room) const {
    const T* unlisted = room.unlisted.data();
    std::fill(g, g + classes, T(0));
    for_each_listed(row, room, [&](int64_t l) {
      const Loss form = loss;
      const T of_listed = z[l];
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int c = 0; c < classes; ++c) {
        const T slope = select<T>(unlisted[c] != 0, form.gradient(z[c], of_listed), T(0));
        sum += slope;
        g[c] += slope;
      }
      g[l] -= sum;
    });
    const T factor = scale / static_cast<T>(classes);
#pragma omp simd
    for (int c = 0; c < classes; ++c) g[c] *= factor;
  }

  template <class F>
  void for_each_row(const F& f) const {
    const int64_t grain = std::max<int64_t>(1, GRAIN / (job.classes * job.classes));
    run_parallel(job, job.outer, grain, [&](int64_t begin, int64_t end) {
      const auto line = [&] { return std::vector<T>(static_cast<size_t>(classes)); };
      Room room{line(), line(), line()};
      for (int64_t row = begin; row < end; ++row)
        f(row, view(job.z, row * job.classes, job.classes, room.z.data()), room);
    });
  }
};

template <class T, class Loss>
double values(const Job& job) {
  const Lists<T, Loss> lists{job, Loss(job.constants), static_cast<int>(job.classes)};
  std::vector<double> found(static_cast<size_t>(job.outer));
  lists.for_each_row([&](int64_t row, const T* z, auto& room) {
    found[static_cast<size_t>(row)] = lists.value(row, z, room);
    const T rounded = static_cast<T>(found[static_cast<size_t>(row)]);
    if (job.each) write(&rounded, 1, job.each, job.each_dtype, row);
  });
  double total = 0;
  for (const double each : found) total += each;
  return total;
}

template <class T, class Loss>
void gradients(const Job& job) {
  const Lists<T, Loss> lists{job, Loss(job.constants), static_cast<int>(job.classes)};
  lists.for_each_row([&](int64_t row, const T* z, auto& room) {
    T upstream = 1;
    if (job.upstream.data) read(job.upstream, row, 1, &upstream);
    const int64_t at = row * job.classes;
    T* g = place(job.gradient, job.gradient_dtype, at, room.g.data());
    lists.gradient(row, z, static_cast<T>(job.scale) * upstream, g, room);
    if (g == room.g.data()) write(g, job.classes, job.gradient, job.gradient_dtype, at);
  });
}

}  // namespace losses
