#include "support/certificates.h"

#include <fmt/format.h>

#include <stdexcept>

#include "local/process.h"

namespace afloat::test {

Authority::Authority() {
  openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 30");
}

Authority::Pair Authority::issue(const std::string& name, int days) {
  if (auto written = local::write_file(path(name + ".ext"), "subjectAltName=IP:127.0.0.1\n"); !written)
    throw std::runtime_error(written.error().message());
  openssl(fmt::format("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {0}.key -out {0}.csr -subj /CN={0}", name));
  openssl(fmt::format("x509 -req -in {0}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile {0}.ext -days {1} -out {0}.pem",
                      name, days));
  return {path(name + ".pem"), path(name + ".key")};
}

void Authority::openssl(const std::string& arguments) {
  local::ProcessOptions run;
  run.argv = {"/bin/sh", "-c", fmt::format("cd {} && umask 077 && openssl {}", folder_.path(), arguments)};
  auto done = local::run_checked(std::move(run));
  if (!done) throw std::runtime_error(done.error().message());
}

}  // namespace afloat::test
