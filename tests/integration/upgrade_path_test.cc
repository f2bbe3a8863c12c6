#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json_fields.h"
#include "base/text.h"
#include "support/lone_node.h"
#include "version/version.h"

// What may roll, the way to a version, releases from elsewhere, and their notes, as an administrator meets them.
namespace afloat::test {
namespace {

namespace json = boost::json;

/// Scripts with $afloat, in a folder of their own, with small bundles that `pack` makes.
class UpgradePath : public ::testing::Test {
 protected:
  local::CommandOutput sh(const std::string& script) {
    local::ProcessOptions run;
    run.argv = {"bash", "-c",
                "set -u; pack() { v=$1; shift; \"$afloat\" releases pack --version $v --binary program --web web "
                "--notes notes-$v --out catalogue/$v \"$@\" >/dev/null && \"$afloat\" releases sign catalogue/$v "
                "--key keys/afloat.key >/dev/null; }; " +
                    script};
    run.folder = folder_.path();
    run.env = {{"afloat", bundles().program}, {"no_proxy", "127.0.0.1,localhost"}, {"AFLOAT_SITE", ""}};
    auto done = local::run_command(std::move(run));
    if (!done) throw std::runtime_error(done.error().message());
    return *done;
  }
  void expect(const std::string& script, int code, const std::vector<std::string>& says) {
    const auto done = sh(script);
    EXPECT_EQ(done.exit_code, code) << script << "\n" << done.output;
    for (const auto& part : says) EXPECT_NE(done.output.find(part), std::string::npos) << part << "\n" << done.output;
  }
  void pack(const std::string& version, const std::string& more = {}) {
    ASSERT_TRUE(local::write_file(folder_.path() + "/notes-" + version,
                                  "# Afloat " + version + "\n\n- News of " + version + ".\n"));
    expect("pack " + version + " " + more, 0, {});
  }
  void SetUp() override {
    ASSERT_FALSE(bundles().program.empty()) << "this test needs the program: run it with ./run test";
    expect(
        "mkdir web && echo 'p{}' >web/site.css && head -c 300000 /dev/urandom >program && "
        "\"$afloat\" releases keygen --out keys",
        0, {});
  }
  local::TempDir folder_;
};

TEST_F(UpgradePath, OfConfluenceNeedsNoSiteAndNoCatalogue) {
  const std::string path = "\"$afloat\" upgrade path --product confluence ";
  expect(path + "--from 7.14.2 --to 7.17.4", 0,
         {"rolls, in 3 hops", "7.14.2 -> 7.15.x -> 7.16.x -> 7.17.4", "7.15.x       rolling", "next feature"});
  expect(path + "--from v7.14.2 --to ' 7.15' --json", 0, {R"("verdict":"rolling")", R"("to":"7.15.0")"});
  expect(path + "--from 7.12.2 --to 7.17.4", 3, {"one downtime window", "go straight there", "7.17.4       downtime"});
  expect(path + "--from 7.8.1 --to 7.8.3", 3, {"Note: The vendor's page lets 7.8 fall in two rows"});
  expect(path + "--from 7.14.2 --to 7.14.2", 0, {"on 7.14.2 already"});
  expect(path + "--from 7.14.2 --to 7.13.0", 2, {"7.13.0 is older than 7.14.2"});
  expect(path + "--from seven --to 7.13.0", 2, {"\"seven\" is not a version"});
  expect(path + "--from 7.14.2 --to 7.99999999999999999999", 2, {"is not a version"});
  expect(path + "--to 7.13.0", 2, {"--from"});
  expect("\"$afloat\" upgrade path --product jira --from 1.0.0 --to 1.1.0", 2, {"afloat and confluence"});
  expect("\"$afloat\" upgrade policy --product confluence", 0, {"7.9 to 7.13", "7.14 and later", "two rows", "7.19"});
  expect("\"$afloat\" upgrade policy --json", 0, {R"("nextFeature":"rolling")", R"("platform":"from_last_feature")"});
  expect("mkdir i && touch i/atlassian-confluence-7.15.3.tar.gz i/atlassian-confluence-7.17.4-x64.bin; " + path +
             "--from 7.14.2 --to 7.17.4 --catalogue i",
         3, {"go straight there", "With 7.16.x in the catalogue too it takes none"});
}

TEST_F(UpgradePath, OfAfloatGoesThroughTheCatalogueAndNamesWhatIsMissing) {
  const std::string path = "\"$afloat\" upgrade path --catalogue catalogue ";
  expect(path + "--from 1.1.4 --to 1.3.2", 1, {"catalogue can't be read"});
  pack("1.3.2");
  expect(path + "--from 1.1.4 --to 1.3.2", 3, {"With 1.2.x in the catalogue too it takes none"});
  pack("1.2.0");
  expect(path + "--from 1.1.4 --to 1.3.2", 0, {"1.1.4 -> 1.2.0 -> 1.3.2"});
  expect(path + "--from 1.1.4 --to 1.3.9", 4, {"Not in the catalogue yet: 1.3.9", "[to get]"});
  pack("2.0.0", "--no-rolling --upgrade-from-min 1.3.0");
  expect(path + "--from 1.3.2 --to 2.0.0", 3, {"2.0.0        downtime", "the manifest of 2.0.0 asks for downtime"});
  pack("2.0.1", "--lts --required-stop 1.3.1");
  expect(path + "--from 1.3.2 --to 2.0.1", 0, {"2.0.1        rolling   [LTS]"});
}

TEST_F(UpgradePath, ReleasesAreFetchedOverHttpsWithTheSitesOwnAuthority) {
  pack("1.2.0", "--lts");
  pack("1.3.0");
  expect("\"$afloat\" releases index --catalogue catalogue --key keys/afloat.key", 0,
         {"2 release(s)", "1.2.0          feature, LTS"});
  expect("minisign -Vm catalogue/index.json -p keys/afloat.pub", 0, {"product:afloat index:"});
  expect(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out ca.pem -days 2 "
      "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2>&1",
      0, {});
  auto ports = local::PortBlock::take();
  ASSERT_TRUE(ports);
  const auto port = std::to_string(ports->first());
  local::ProcessOptions serve;
  serve.argv = {"openssl",           "s_server", "-quiet",    "-WWW", "-accept",
                "127.0.0.1:" + port, "-cert",    "../ca.pem", "-key", "../tls.key"};
  serve.folder = folder_.path() + "/catalogue";
  serve.log = folder_.path() + "/server.log";
  auto server = local::Process::start(serve);
  ASSERT_TRUE(server) << server.error().message();
  const auto fetch =
      "\"$afloat\" releases fetch --catalogue got --trusted-key keys/afloat.pub --from https://127.0.0.1:" + port + " ";
  ASSERT_TRUE(eventually(std::chrono::seconds(10), [&] { return sh(fetch + "--ca-file ca.pem").exit_code == 0; }));

  expect(fetch, 1, {"no certificate that is trusted here", "--ca-file"});
  expect(fetch + "--ca-file ca.pem 1.2.0", 0, {"1.2.0          fetched and verified"});
  expect("\"$afloat\" releases list --catalogue got", 0,
         {"LTS; News of 1.2.0", "not fetched; News of 1.3.0", "releases fetch V"});
  expect("\"$afloat\" upgrade path --catalogue got --from 1.2.0 --to 1.3.0", 4, {"1.3.0"});
  // Altered on the way: refused, and nothing is left behind.
  expect("printf x | dd of=catalogue/1.3.0/afloat-1.3.0.tar.zst bs=1 seek=5000 conv=notrunc status=none; " + fetch +
             "--ca-file ca.pem 1.3.0",
         4, {"SHA-256", "damaged or was replaced"});
  expect("ls -A got", 0, {"1.2.0\nindex.json\nindex.json.minisig\n"});
  pack("1.3.0");  // the same files give the same bytes
  expect(fetch + "--ca-file ca.pem --all-newer --json", 0, {R"("version":"1.3.0","fetched":true)"});
  expect("\"$afloat\" releases verify --catalogue got --trusted-key keys/afloat.pub", 0,
         {"1.3.0          intact, signed by key"});
  expect("cd got; \"$afloat\" releases fetch --from http://127.0.0.1:1 --catalogue . --trusted-key ../keys/afloat.pub",
         2, {"https://"});
}

TEST_F(UpgradePath, AByteThatWasChangedInABundleIsFoundBeforeARun) {
  const Database database;
  LoneNode node(database.connection());
  ASSERT_TRUE(local::make_folders(folder_.path() + "/catalogue"));
  node.write_config("catalogue = \"" + folder_.path() + "/catalogue\"\ntrusted_keys = [\"" +
                    std::string(trim(sh("tail -n 1 keys/afloat.pub").output)) + "\"]\n");
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  const auto v = version::this_version();
  const auto next = fmt::format("{}.{}.0", v.major, v.minor + 1);
  const auto bundle = [&] {
    const auto answer = node.admin().get_json("/rest/afloat/1/checks?group=upgrade&to=" + next);
    std::string text;
    for (const auto& check : *array_at(answer, "checks"))
      if (string_or(check.as_object(), "id") == "bundle")
        text = string_or(check.as_object(), "result") + ": " + string_or(check.as_object(), "found");
    return text;
  };
  EXPECT_TRUE(bundle().starts_with("unknown: ")) << bundle();
  pack(next);
  EXPECT_TRUE(bundle().starts_with("pass: signed by key ")) << bundle();
  const auto flip = "f=catalogue/" + next + "/afloat-" + next + ".tar.zst; b=$(od -An -tu1 -j5000 -N1 $f); " +
                    "printf \"\\\\$(printf %o $((b ^ 1)))\" | dd of=$f bs=1 seek=5000 conv=notrunc status=none";
  expect(flip, 0, {});
  EXPECT_TRUE(bundle().starts_with("fail: the bundle's archive afloat-" + next + ".tar.zst is damaged")) << bundle();
  expect(flip, 0, {});
  EXPECT_TRUE(bundle().starts_with("pass: ")) << bundle();
  expect("rm catalogue/" + next + "/*.minisig", 0, {});
  EXPECT_TRUE(bundle().starts_with("fail: ")) << bundle();
}

TEST_F(UpgradePath, TheSiteTellsEachColumnOfTheTableAndAsksForItsNotes) {
  const Database database;
  LoneNode node(database.connection());
  ASSERT_TRUE(local::make_folders(folder_.path() + "/catalogue"));
  node.write_config("catalogue = \"" + folder_.path() + "/catalogue\"\n");
  node.start();
  ASSERT_TRUE(node.wait_ready()) << node.log();
  auto admin = node.admin();
  const auto here = string_or(admin.get_json("/rest/afloat/1/cluster"), "clusterVersion");
  const auto v = version::parse_version(here).value();
  const auto bugfix = fmt::format("{}.{}.{}", v.major, v.minor, v.patch + 1),
             next = fmt::format("{}.{}.0", v.major, v.minor + 1),
             further = fmt::format("{}.{}.0", v.major, v.minor + 2), platform = fmt::format("{}.0.0", v.major + 1);
  for (const auto& version : {bugfix, further}) pack(version);
  pack(platform, "--no-rolling");

  const auto hop = [&](const std::string& to) {
    const auto plan = admin.get_json("/rest/afloat/1/runs/plan?to=" + to);
    std::string text = string_or(plan, "verdict");
    for (const auto& check : *array_at(plan, "checks"))
      if (string_or(check.as_object(), "id") == "hop_allowed")
        text += " " + string_or(check.as_object(), "result") + ": " + string_or(check.as_object(), "found");
    return text;
  };
  EXPECT_TRUE(hop(bugfix).starts_with("rolling pass: ")) << hop(bugfix);
  EXPECT_TRUE(hop(further).starts_with("downtime fail: ")) << hop(further);
  EXPECT_NE(hop(further).find("step by step"), std::string::npos) << hop(further);
  EXPECT_TRUE(hop(platform).starts_with("downtime fail: ")) << hop(platform);
  EXPECT_NE(hop(platform).find("manifest of " + platform + " asks for downtime"), std::string::npos) << hop(platform);
  EXPECT_EQ(node.afloat({"upgrade", "plan", "--to", further}).exit_code, 3);
  const auto refused = node.afloat({"upgrade", "plan", "--to", platform});
  EXPECT_EQ(refused.exit_code, 3) << refused.output;
  EXPECT_NE(refused.output.find("afloat upgrade run --to " + platform + " --offline"), std::string::npos)
      << refused.output;

  // With the release between the two there is a way.
  pack(next);
  EXPECT_TRUE(hop(next).starts_with("rolling pass: ")) << hop(next);
  EXPECT_EQ(hop(further), fmt::format("rolling pass: 2 hops roll: {} to {} to {}", here, next, further));
  EXPECT_EQ(json::serialize(*array_at(admin.get_json("/rest/afloat/1/runs/plan?to=" + further), "hops")),
            fmt::format(R"(["{}","{}"])", next, further));
  EXPECT_EQ(node.afloat({"upgrade", "plan", "--to", next}).exit_code, 4) << "one node, and notes that nobody has read";
  EXPECT_EQ(string_or(admin.get_json("/rest/afloat/1/runs/path?to=" + further), "verdict"), "rolling");
  const auto path = node.afloat({"upgrade", "path", "--to", further, "--catalogue", folder_.path() + "/catalogue"});
  EXPECT_EQ(path.exit_code, 0) << path.output;
  EXPECT_NE(path.output.find(fmt::format("{} -> {} -> {}", here, next, further)), std::string::npos) << path.output;
  EXPECT_EQ(array_at(admin.get_json("/rest/afloat/1/runs/policy?product=confluence"), "rows")->size(), 3U);

  const auto shown = node.afloat({"upgrade", "notes", "--to", next});
  EXPECT_EQ(shown.exit_code, 0);
  for (const auto& words : {"News of " + bugfix, "News of " + next, std::string("--acknowledge")})
    EXPECT_NE(shown.output.find(words), std::string::npos) << words << "\n" << shown.output;
  EXPECT_EQ(shown.output.find("News of " + further), std::string::npos);
  const auto absent = node.afloat({"upgrade", "notes", "--to", "99.0.0"});
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_TRUE(absent.output.contains("The catalogue has no 99.0.0") && absent.output.contains(next)) << absent.output;
  const auto line = next.substr(0, next.rfind('.'));
  for (const auto* verb : {"plan", "run"}) {
    const auto part = node.afloat({"upgrade", verb, "--to", line});
    EXPECT_EQ(part.exit_code, 2) << part.output;
    EXPECT_TRUE(part.output.contains("Of " + line + " there is " + next)) << part.output;
  }
  const auto done = node.afloat({"upgrade", "notes", "--to", next, "--acknowledge"});
  EXPECT_NE(done.output.find("acknowledged by admin at 20"), std::string::npos) << done.output;
  EXPECT_NE(done.output.find("All of them are acknowledged"), std::string::npos) << done.output;
  EXPECT_EQ(database.query("select count(*) from cluster_event where kind = 'notes_acknowledged' and actor = 'admin'"),
            "1");
  const auto notes = admin.get_json("/rest/afloat/1/runs/notes?to=" + further);
  EXPECT_FALSE(bool_or(notes, "acknowledged")) << "those of the highest are new";
  EXPECT_EQ(array_at(notes, "notes")->size(), 3U);

  // A release that this node does not know: it can't record who has read of it, so the run does not ask.
  EXPECT_EQ(admin.post("/rest/afloat/1/runs", R"({"to":"99.0.0"})").status, 201);
  // No conductor ends it here.
  const auto options =
      database.query("update upgrade_run set state = 'failed', ended_at = clock_timestamp() returning options");
  EXPECT_NE(options.find("\"notes_recorded\":false"), std::string::npos) << options;
  // Else the conductor refuses it for notes that nobody has read; with the word of who starts it they are.
  const auto run = admin.post("/rest/afloat/1/runs", R"({"to":")" + further + R"(","acknowledge_notes":true})");
  EXPECT_EQ(run.status, 201) << *run.body;
  EXPECT_NE(run.body->find("\"notes_acknowledged\":[\"" + further + "\",\"" + next + "\",\"" + bugfix + "\"]"),
            std::string::npos)
      << *run.body;
  EXPECT_TRUE(bool_or(admin.get_json("/rest/afloat/1/runs/notes?to=" + further), "acknowledged"));
  EXPECT_NE(database.query("select options from upgrade_run where ended_at is null").find("\"notes_recorded\":true"),
            std::string::npos);
  EXPECT_EQ(admin.get("/rest/afloat/1/runs/notes?to=x").status, 400);
  EXPECT_EQ(admin.get("/rest/afloat/1/runs/path?to=1.0.0&product=jira").status, 400);
  EXPECT_EQ(HttpClient(node.url()).get("/rest/afloat/1/runs/notes?to=" + next).status, 401);
}

}  // namespace
}  // namespace afloat::test
