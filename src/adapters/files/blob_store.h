#pragma once
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>

#include "ports/blob_store.h"

namespace afloat::files {

/// Blobs under `<home>/blobs/ab/abcdef...`, named by SHA-256. Written to a temporary name, flushed and
/// closed with every result checked (NFS reports a full disk late), renamed, and the folder flushed,
/// before the caller hears of it. `pool` runs the blocking calls and outlives this.
std::unique_ptr<BlobStore> make_blob_store(std::string home, boost::asio::thread_pool& pool);

}  // namespace afloat::files
