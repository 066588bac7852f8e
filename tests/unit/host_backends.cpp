// The host: one backend for each instruction set.
#include "backends.h"

namespace mlff::test {

const std::vector<Backend> &backends() {
  static const std::vector<Backend> all = [] {
    std::vector<Backend> list;
    for (const Isa isa : available_isas())
      list.push_back({name(isa), [isa](const Potential &potential, NetworkOptions options) {
                        options.isa = isa;
                        return Network::create(potential, options);
                      }});
    return list;
  }();
  return all;
}

}  // namespace mlff::test
