#include "server/gzip.h"

#include <boost/beast/zlib/deflate_stream.hpp>
#include <boost/crc.hpp>
#include <cstdint>
#include <stdexcept>

#include "base/text.h"

namespace afloat::server {
namespace zlib = boost::beast::zlib;

std::string gzip(std::string_view bytes) {
  // Magic, deflate, no flags, no time, smallest, unknown system.
  std::string out("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff", 10);
  const auto head = out.size();
  zlib::deflate_stream deflate;
  deflate.reset(9, 15, 9, zlib::Strategy::normal);
  out.resize(head + deflate.upper_bound(bytes.size()));
  zlib::z_params params;
  params.next_in = bytes.data();
  params.avail_in = bytes.size();
  params.next_out = out.data() + head;
  params.avail_out = out.size() - head;
  boost::system::error_code ended;
  deflate.write(params, zlib::Flush::finish, ended);
  if (ended != zlib::error::end_of_stream) throw std::logic_error("deflate did not end: " + ended.message());
  out.resize(head + params.total_out);
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  for (const auto number : {static_cast<std::uint32_t>(crc.checksum()), static_cast<std::uint32_t>(bytes.size())})
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>((number >> shift) & 0xFF);
  return out;
}

bool accepts_gzip(std::string_view accept_encoding) {
  for (const auto& word : split(accept_encoding, ',')) {
    const std::string_view part = word;
    const auto semicolon = part.find(';');
    if (to_lower(trim(part.substr(0, semicolon))) != "gzip") continue;
    const auto quality = semicolon == std::string_view::npos ? std::string_view() : trim(part.substr(semicolon + 1));
    return quality.find_first_of("123456789") != std::string_view::npos || !quality.starts_with("q=0");
  }
  return false;
}

}  // namespace afloat::server
