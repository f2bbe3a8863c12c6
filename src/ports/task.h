#pragma once
#include <boost/asio/awaitable.hpp>

#include "base/error.h"

/// The only Asio include of ports, wiki, store and conductor.
namespace afloat {

/// A coroutine whose outcome is a Result: every port call can fail.
template <class T>
using Task = boost::asio::awaitable<Result<T>>;
/// A coroutine that cannot fail (handlers turn every error into a response).
template <class T>
using Async = boost::asio::awaitable<T>;

}  // namespace afloat
