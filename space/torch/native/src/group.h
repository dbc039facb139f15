// A group of processes, for what sums over it in the middle of a computation.

#pragma once

#include <vector>

namespace mobilenas {

struct Group;

// Replaces each value by its sum over the ranks: the same bits on all of them.
void sum_over_ranks(const Group* group, std::vector<double>& values);

} // namespace mobilenas
