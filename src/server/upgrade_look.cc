#include "server/upgrade_look.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "adapters/files/archive.h"
#include "store/health_store.h"
#include "version/bundle_signature.h"
#include "version/index.h"
#include "version/manifest.h"
#include "version/path.h"
#include "version/version.h"

namespace afloat::server {

namespace {

/// Agents and balancer are asked by the conductor alone; a node takes its word while it is fresh.
void take_conductors_word(rollout::Observation* seen) {
  const auto& told = seen->facts->conductor;
  if (!told || seen->now_ms - told->at_ms > rollout::facts_live_ms) return;
  seen->conductor_build = told->build;
  for (const auto& [host, agent] : told->hosts) {
    seen->hosts.push_back(host);
    if (!agent.problem.empty()) continue;
    auto& releases = seen->host_releases[host];
    for (const auto& [version, digest] : agent.releases) releases.push_back(version);
    for (const auto& [node, process] : agent.nodes)
      seen->nodes[node].process = rollout::ProcessView{.version = process.version, .running = process.running};
  }
  for (const auto& [node, view] : told->balancer)
    if (view.problem.empty())
      seen->nodes[node].balancer = rollout::BalancerView{
          .status = view.status, .weight = view.weight, .full_weight = view.full_weight, .check = view.check};
}

Task<void> read_manifest(Context& context, std::string to, rollout::Observation* seen) {
  const auto folder = std::filesystem::path(context.config.catalogue) / to;
  std::string text, digest;
  std::optional<std::string> signature;
  if (context.config.catalogue.empty()) co_return Result<void>{};
  auto done = co_await context.offload([&text, &digest, &signature, &folder] {
    std::ifstream file(folder / "manifest.json", std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), {});
    if (std::ifstream beside(folder / version::signature_file, std::ios::binary); beside)
      signature.emplace(std::istreambuf_iterator<char>(beside), std::istreambuf_iterator<char>());
    if (const auto manifest = version::parse_manifest(text))
      digest = files::sha256_of_file((folder / manifest->archive).string()).value_or("");
  });
  if (!done) co_return std::unexpected(done.error());
  const auto manifest = version::parse_manifest(text);
  seen->in_catalogue = manifest.has_value();
  if (!manifest) co_return Result<void>{};
  const auto& keys = context.config.trusted_keys;
  seen->bundle = rollout::BundleView{.keys = !keys.empty()};
  if (digest != manifest->archive_sha256) {
    seen->bundle->problem =
        digest.empty() ? fmt::format("the bundle's archive {} can't be read", manifest->archive)
                       : fmt::format(
                             "the bundle's archive {} is damaged or was replaced: its SHA-256 is not that of its "
                             "manifest",
                             manifest->archive);
    co_return Result<void>{};
  }
  if (keys.empty()) co_return Result<void>{};
  const auto key = version::check_signature({folder.string(), text, *manifest, std::move(signature)}, keys);
  (key ? seen->bundle->signed_by : seen->bundle->problem) = key ? minisign::shown_id(key->id) : key.error().message();
  co_return Result<void>{};
}

}  // namespace

bool UpgradeLook::failed() const {
  return std::ranges::any_of(checks, [](const auto& check) { return check.result == rollout::CheckResult::fail; });
}

Task<rollout::Observation> look_at_site(Context& context, ClusterStore& cluster, Deadline deadline) {
  rollout::Observation seen;
  auto snapshot = co_await cluster.observe(deadline);
  if (!snapshot) co_return std::unexpected(snapshot.error());
  seen.cluster = std::move(*snapshot);
  seen.now_ms = seen.cluster->now_ms;
  if (!seen.cluster->state) co_return fail(ErrorKind::failed_precondition, "This site has not been started yet.");
  seen.edition = context.config.edition;
  seen.facts = std::make_shared<const rollout::Facts>(co_await store::gather_facts(context.database, deadline));
  take_conductors_word(&seen);
  co_return seen;
}

Task<UpgradeLook> look_at_upgrade(Context& context, rollout::Observation seen, RunStore& runs, NotesDesk& desk,
                                  std::string to, Deadline deadline, rollout::Options wishes) {
  UpgradeLook look;
  const auto target = co_await desk.target_of(to);
  if (!target) co_return std::unexpected(target.error());
  look.seen = std::move(seen);
  look.run.from = look.seen.cluster->state->cluster_version;
  look.run.to = to;
  look.run.options = wishes;
  look.seen.offline = wishes.offline;
  const auto source = version::parse_version(look.run.from);
  if (!source) co_return std::unexpected(source.error());
  if (auto encoding = co_await runs.database_encoding(deadline)) look.seen.database_encoding = std::move(*encoding);
  if (auto replicas = co_await runs.database_replicas(deadline)) look.seen.replicas = std::move(*replicas);
  auto notes = co_await desk.look(*source, *target, deadline);
  if (!notes) co_return std::unexpected(notes.error());
  const auto& policy = version::policy_of(version::Product::afloat);
  look.verdict = version::hop_verdict(policy, *source, *target);
  if (notes->catalogue) {
    look.seen.catalogue_has = version::fetched_of(notes->known);
    auto releases = version::releases_of(notes->known);
    // No notes of a target that nobody has got yet are not the same as none to read.
    if (notes->knows_target() || !notes->notes.empty())
      look.seen.notes = rollout::view_of(notes->notes, notes->read, notes->knows_target());
    look.seen.target = version::facts_of(*source, *target, releases);
    look.seen.way = version::rolling_way(look.run.from, to, releases);
    look.verdict = version::find_path(policy, *source, *target, std::move(releases)).verdict;
  }
  if (auto read = co_await read_manifest(context, to, &look.seen); !read) co_return std::unexpected(read.error());
  look.checks = rollout::preflight(look.run.from, to, look.seen);
  co_return look;
}

}  // namespace afloat::server
