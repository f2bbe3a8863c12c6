#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "adapters/http/tls.h"

namespace afloat::http {

enum class Notice { info, warning, error };

/// Keeps a certificate fresh while its process runs: looks at the files every `interval` and at SIGHUP, and says
/// what came of it. Warns once a day of one that is about to end. Without a certificate it only answers SIGHUP, which
/// would end the process otherwise: who sends it to all nodes must not stop those without TLS.
/// One per process. Thread-safety: the context's thread. Ends with its context; the files are read on `pool`.
void watch_certificate(boost::asio::io_context& context, boost::asio::thread_pool& pool, std::shared_ptr<TlsIdentity> identity,
                       std::function<void(Notice, std::string)> tell,
                       std::chrono::milliseconds interval = std::chrono::milliseconds(2'000));

}  // namespace afloat::http
