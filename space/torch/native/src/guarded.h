// Exceptions of C++ as messages for Rust, which frees them with `mn_free_text`.

#pragma once

#include <c10/util/Exception.h>

#include <cstring>
#include <exception>

namespace mobilenas {

template <class F>
char* guarded(F work) {
  try {
    work();
    return nullptr;
  } catch (const c10::Error& e) {
    return strdup(e.what_without_backtrace());
  } catch (const std::exception& e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("an unknown error");
  }
}

} // namespace mobilenas
