#include "adapters/http/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <time.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>

#include "adapters/http/file_stamp.h"
#include "base/text.h"

namespace afloat::http {

namespace {

namespace ssl = boost::asio::ssl;

constexpr std::int64_t warn_before_ms = 14LL * 24 * 3600 * 1000;

template <auto free>
struct Free {
  template <class T>
  void operator()(T* what) const {
    free(what);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

Result<std::string> read_pem(std::string_view what, const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0 && errno != EACCES)
    return fail(ErrorKind::not_found,
                fmt::format("The {} {} can't be read: {}. Make it, or correct its path in the site's configuration.", what,
                            path, std::strerror(errno)));
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(ErrorKind::permission_denied, fmt::format("The {} {} can't be read: {}. Give the user that runs this program the right to read it.",
                                                          what, path, std::strerror(errno)));
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (bytes.empty()) return fail(ErrorKind::invalid_argument, fmt::format("The {} {} is empty.", what, path));
  return bytes;
}

std::string last_openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason ? reason : "unknown";
}

// OpenSSL would ask for a passphrase on the terminal; a service has none.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

std::int64_t unix_ms_of(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<std::int64_t>(timegm(&parts)) * 1000;
}

struct Loaded {
  std::shared_ptr<ssl::context> context;
  std::string subject;
  std::int64_t valid_from_ms = 0, valid_until_ms = 0;
  bool open_key = false;  ///< others may read the key
};

Result<Loaded> load_pair(const TlsFiles& files) {
  auto chain = read_pem("certificate", files.certificate);
  if (!chain) return std::unexpected(chain.error());
  auto key_text = read_pem("key", files.key);
  if (!key_text) return std::unexpected(key_text.error());
  ERR_clear_error();
  Loaded loaded;
  const Bio certificate_bytes(BIO_new_mem_buf(chain->data(), static_cast<int>(chain->size())));
  const Certificate certificate(PEM_read_bio_X509(certificate_bytes.get(), nullptr, nullptr, nullptr));
  if (!certificate)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} is no certificate in PEM form ({}): it must begin with -----BEGIN CERTIFICATE-----.",
                            files.certificate, last_openssl_reason()));
  char subject[256] = {};
  X509_NAME_oneline(X509_get_subject_name(certificate.get()), subject, sizeof subject - 1);
  loaded.subject = subject;
  loaded.valid_from_ms = unix_ms_of(X509_get0_notBefore(certificate.get()));
  loaded.valid_until_ms = unix_ms_of(X509_get0_notAfter(certificate.get()));

  bool asked = false;
  const Bio key_bytes(BIO_new_mem_buf(key_text->data(), static_cast<int>(key_text->size())));
  const Key key(PEM_read_bio_PrivateKey(key_bytes.get(), nullptr, no_passphrase, &asked));
  if (!key && asked)
    return fail(ErrorKind::invalid_argument,
                fmt::format("The key {} has a passphrase, which nobody can type when this program starts. Write it without: "
                            "openssl pkey -in {} -out NEW.", files.key, files.key));
  if (!key)
    return fail(ErrorKind::invalid_argument, fmt::format("{} is no private key in PEM form ({}): it must begin with -----BEGIN PRIVATE KEY-----.",
                                                         files.key, last_openssl_reason()));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return fail(ErrorKind::invalid_argument,
                fmt::format("The key {} does not belong to the certificate {}. Name the pair that was made together; the "
                            "certificate itself must come first in its file, those of its authorities behind it.",
                            files.key, files.certificate));
  }
  loaded.context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX* const raw = loaded.context->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Tickets make later handshakes cheap; a cache of our own would be one more thing that shards share.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  boost::system::error_code error;
  loaded.context->use_certificate_chain(boost::asio::buffer(*chain), error);
  if (!error && SSL_CTX_use_PrivateKey(raw, key.get()) != 1)
    error = boost::system::error_code(static_cast<int>(ERR_get_error()), boost::asio::error::get_ssl_category());
  ERR_clear_error();
  if (error)
    return fail(ErrorKind::invalid_argument, fmt::format("The certificate {} with the key {} can't be used: {}.",
                                                         files.certificate, files.key, error.message()));
  struct stat found{};
  loaded.open_key = ::stat(files.key.c_str(), &found) == 0 && (found.st_mode & S_IROTH) != 0;
  return loaded;
}

}  // namespace

struct TlsIdentity::State {
  TlsFiles files;
  mutable std::mutex mutex;
  Loaded loaded;
  FileStamp certificate, key;  ///< as they were at the last look
};

TlsIdentity::TlsIdentity(TlsFiles files) : state_(std::make_shared<State>()) { state_->files = std::move(files); }

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::load(TlsFiles files) {
  std::shared_ptr<TlsIdentity> identity(new TlsIdentity(std::move(files)));
  auto& state = *identity->state_;
  // Before the reading: what is written meanwhile is then seen as a change.
  state.certificate = stamp_of(state.files.certificate);
  state.key = stamp_of(state.files.key);
  auto loaded = load_pair(state.files);
  if (!loaded) return std::unexpected(loaded.error());
  state.loaded = std::move(*loaded);
  return identity;
}

TlsIdentity::Look TlsIdentity::look_again(bool in_any_case) {
  Look look;
  std::lock_guard lock(state_->mutex);
  const auto certificate = stamp_of(state_->files.certificate), key = stamp_of(state_->files.key);
  if (!in_any_case && certificate == state_->certificate && key == state_->key) return look;
  state_->certificate = certificate;
  state_->key = key;
  auto loaded = load_pair(state_->files);
  if (!loaded) {
    look.problem = loaded.error().message();
    return look;
  }
  state_->loaded = std::move(*loaded);
  look.replaced = true;
  return look;
}

std::vector<std::string> TlsIdentity::warnings(std::int64_t unix_ms) const {
  std::lock_guard lock(state_->mutex);
  const auto& loaded = state_->loaded;
  const auto& file = state_->files.certificate;
  std::vector<std::string> all;
  if (unix_ms >= loaded.valid_until_ms)
    all.push_back(fmt::format("The certificate {} expired at {}: clients refuse it. Put a new one in its place.", file,
                              iso_time(loaded.valid_until_ms)));
  else if (unix_ms < loaded.valid_from_ms)
    all.push_back(fmt::format("The certificate {} is not valid before {}: clients refuse it until then. Check this machine's clock.",
                              file, iso_time(loaded.valid_from_ms)));
  else if (unix_ms + warn_before_ms >= loaded.valid_until_ms)
    all.push_back(fmt::format("The certificate {} expires at {}: put a new one in its place before.", file,
                              iso_time(loaded.valid_until_ms)));
  if (loaded.open_key)
    all.push_back(fmt::format("The key {} can be read by everybody on this machine: chmod 600 {}.", state_->files.key,
                              state_->files.key));
  return all;
}

std::int64_t TlsIdentity::end_ms() const {
  std::lock_guard lock(state_->mutex);
  return state_->loaded.valid_until_ms;
}

std::string TlsIdentity::description() const {
  std::lock_guard lock(state_->mutex);
  return fmt::format("{}, until {}, from {}", state_->loaded.subject, iso_time(state_->loaded.valid_until_ms),
                     state_->files.certificate);
}

std::shared_ptr<ssl::context> TlsIdentity::context() const {
  std::lock_guard lock(state_->mutex);
  return state_->loaded.context;
}

}  // namespace afloat::http
