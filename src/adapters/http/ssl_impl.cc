// The one compiled copy of Asio's TLS (as adapters/asio/impl.cc for the rest of it).
#include <boost/asio/ssl/impl/src.hpp>
