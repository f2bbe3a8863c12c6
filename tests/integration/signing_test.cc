#include <gtest/gtest.h>

#include <filesystem>

#include "base/minisign.h"
#include "local/process.h"
#include "local/workplace.h"
#include "support/support.h"

/// `afloat releases keygen | sign | verify` and Debian's minisign on each other's keys and signatures.
namespace afloat::test {
namespace {

class SigningTest : public ::testing::Test {
 protected:
  /// Runs a script in the test's folder with $afloat, $bundle (a copy of a bundle) and $V.
  local::CommandOutput sh(const std::string& script) {
    local::ProcessOptions run;
    run.argv = {"bash", "-c", "set -eu -o pipefail; " + script};
    run.folder = folder_.path();
    run.env = {{"afloat", bundles().program}, {"V", bundles().to}, {"bundle", folder_.path() + "/catalogue/" + bundles().to}};
    auto done = local::run_command(std::move(run));
    if (!done) throw std::runtime_error(done.error().message());
    return *done;
  }
  void good(const std::string& script) {
    const auto done = sh(script);
    EXPECT_EQ(done.exit_code, 0) << script << "\n" << done.output;
  }
  /// Fails with this exit code and says each of these.
  void refused(const std::string& script, int code, const std::vector<std::string>& says) {
    const auto done = sh(script);
    EXPECT_EQ(done.exit_code, code) << script << "\n" << done.output;
    for (const auto& part : says) EXPECT_NE(done.output.find(part), std::string::npos) << part << "\n" << done.output;
  }
  void SetUp() override {
    ASSERT_TRUE(bundles().there()) << "this test needs a release bundle: run it with ./run test";
    good("mkdir catalogue && cp -r " + bundles().catalogue + "/$V catalogue/ && rm -f $bundle/*.minisig");
  }
  local::TempDir folder_;
};

TEST_F(SigningTest, MinisignVerifiesWhatWeSigned) {
  good("$afloat releases keygen --out keys && [[ $(stat -c %a keys/afloat.key) == 600 ]]");
  refused("$afloat releases keygen --out keys", 1, {"keys/afloat.key exists already"});
  good("$afloat releases sign $bundle --key keys/afloat.key");
  good("minisign -Vm $bundle/manifest.json -p keys/afloat.pub | grep \"product:afloat version:$V digest:$(sha256sum <$bundle/manifest.json | cut -c1-64)\"");
  good("minisign -Vm $bundle/manifest.json -P $(tail -1 keys/afloat.pub)");
  good("$afloat releases verify $V --catalogue catalogue --trusted-key keys/afloat.pub | grep 'intact, signed by key'");
  good("$afloat releases verify $V --catalogue catalogue --trusted-key $(tail -1 keys/afloat.pub)");
  good("printf x >other && minisign -Sm other -s keys/afloat.key && minisign -Vm other -p keys/afloat.pub");
  refused("printf ' ' >>$bundle/manifest.json; minisign -Vm $bundle/manifest.json -p keys/afloat.pub", 1, {"failed"});
}

TEST_F(SigningTest, WeVerifyWhatMinisignSigned) {
  good("minisign -G -W -p m.pub -s m.key >/dev/null");
  good("minisign -Sm $bundle/manifest.json -s m.key "
       "-t \"product:afloat version:$V digest:$(sha256sum <$bundle/manifest.json | cut -c1-64)\"");
  good("$afloat releases verify $V --catalogue catalogue --trusted-key m.pub");
  good("$afloat releases sign $bundle --key m.key && minisign -Vm $bundle/manifest.json -p m.pub");

  const std::string verify = "$afloat releases verify $V --catalogue catalogue --trusted-key m.pub";
  refused("minisign -Sm $bundle/manifest.json -s m.key && " + verify, 4, {"manifest.json.minisig", "timestamp:", "Sign"});
  refused("minisign -S -l -m $bundle/manifest.json -s m.key && " + verify, 4, {"old kind (Ed)"});
  refused("minisign -G -W -p o.pub -s o.key >/dev/null; $afloat releases sign $bundle --key o.key && " + verify, 4,
          {"none of this site's trusted_keys"});
  refused("rm $bundle/*.minisig; " + verify, 4, {"manifest.json.minisig is missing"});
}

TEST_F(SigningTest, EncryptedKeysWorkForBoth) {
  // With a password that costs little: minisign's own cost takes seconds and 1 GB each time.
  const auto key = minisign::generate_key();
  auto hidden = minisign::secret_key_file(key, "secret", {.operations = 32'768, .memory_bytes = 16'777'216});
  ASSERT_TRUE(hidden) << hidden.error().message();
  ASSERT_TRUE(local::write_file(folder_.path() + "/e.key", *hidden, 0600));
  ASSERT_TRUE(local::write_file(folder_.path() + "/e.pub", minisign::public_key_file(key.public_key())));
  refused("$afloat releases sign $bundle --key e.key", 1, {"e.key is encrypted", "--password-file"});
  refused("echo other >password; $afloat releases sign $bundle --key e.key --password-file password", 1,
          {"password of the key e.key"});
  good("echo secret >password; $afloat releases sign $bundle --key e.key --password-file password");
  good("minisign -Vm $bundle/manifest.json -p e.pub");
  good("minisign -Sm $bundle/manifest.json -s e.key <password && minisign -Vm $bundle/manifest.json -p e.pub");
}

}  // namespace
}  // namespace afloat::test
