#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "adapters/sqlite/database.h"
#include "base/hash.h"
#include "base/text.h"
#include "local/workplace.h"
#include "server/long_tasks.h"
#include "store/attachment_store.h"
#include "store/change_log.h"
#include "store/dialect.h"
#include "store/draft_store.h"
#include "store/page_body.h"
#include "store/page_store.h"
#include "store/page_tree.h"
#include "store/search_store.h"
#include "store/session_store.h"
#include "store/space_store.h"
#include "store/user_store.h"
#include "support/protocol.h"

/// The stores on PostgreSQL and on a trial's SQLite: the same calls, the same outcomes.
namespace afloat::store {
namespace {

using test::soon;

constexpr int build = 10020009;
constexpr Gates gates{1, build};

/// Hands everything on, and remembers the statements.
class Recorder final : public Database {
 public:
  explicit Recorder(Database& inner) : inner_(inner) {}
  SqlDialect dialect() const override { return inner_.dialect(); }
  Task<Rows> read(Statement statement, Deadline deadline) override {
    statements.emplace(statement.sql);
    return inner_.read(std::move(statement), deadline);
  }
  Task<Rows> slow_read(Statement statement, Deadline deadline) override {
    statements.emplace(statement.sql);
    return inner_.slow_read(std::move(statement), deadline);
  }
  Task<std::vector<Rows>> write(Gates g, std::vector<Statement> all, std::vector<Change> changes,
                                Deadline deadline) override {
    for (const auto& statement : all) statements.emplace(statement.sql);
    return inner_.write(g, std::move(all), std::move(changes), deadline);
  }
  Task<void> transaction(std::optional<Gates> g, std::move_only_function<Task<void>(Transaction&)> work,
                         Deadline deadline) override {
    return inner_.transaction(g, std::move(work), deadline);
  }
  std::set<std::string> statements;

 private:
  Database& inner_;
};

void make_site(const std::string& connection) {
  test::Node first(connection, build, all_tasks());
  if (auto admitted = first.run(first.cluster->admit(test::candidate("n1", build), soon())); !admitted)
    throw std::runtime_error(admitted.error().message());
}

sqlite::Options trial_options(const std::string& folder) {
  return {folder + "/trial.db", sqlite_statements, trial_schema(), trial_changes()};
}

/// An empty site on one of the two, with an administrator and the space DOC.
class Subject {
 public:
  explicit Subject(const std::string& kind) {
    if (kind == "postgresql") {
      site_ = std::make_unique<test::Database>("two_databases", make_site);
      loop_ = std::make_unique<test::Loop>(site_->connection(), "two_databases", build);
    } else {
      auto prepared = sqlite::prepare_file(trial_options(folder_.path()));
      if (!prepared) throw std::runtime_error(prepared.error().message());
      loop_ = std::make_unique<test::Loop>("", "two_databases", build);
      loop_->database = sqlite::make_database(loop_->context, trial_options(folder_.path()));
    }
    recorder_ = std::make_unique<Recorder>(*loop_->database);
    NewUser admin;
    admin.name = "Admin";
    admin.password_hash = "hash";
    admin.administrator = true;
    EXPECT_TRUE(good(create_first_user(db(), gates, admin, soon())));
    user = good(find_user(db(), "admin", soon())).id;
    NewSpace space;
    space.key = "DOC";
    space.name = "Manual";
    space.homepage_body = "<p>welcome</p>";
    space.author = user;
    home = good(create_space(db(), gates, space, soon())).homepage_id.value();
  }
  Database& db() { return *recorder_; }
  Recorder& recorder() { return *recorder_; }
  template <class T>
  Result<T> run(Task<T> task) {
    return loop_->run(std::move(task));
  }
  template <class T>
  T good(Task<T> task) {
    auto outcome = run(std::move(task));
    EXPECT_TRUE(outcome) << outcome.error().message();
    if constexpr (!std::is_void_v<T>) return outcome ? std::move(*outcome) : T();
  }
  std::int64_t page(const std::string& title, const std::string& body = "<p>text</p>",
                    std::optional<std::int64_t> parent = std::nullopt) {
    NewPage page;
    page.space_key = "doc";
    page.title = title;
    page.body = body;
    page.author = user;
    page.parent_id = parent;
    return good(create_page(db(), gates, page, soon())).id;
  }
  Result<SavedPage> save(std::int64_t id, int version, const std::string& title, const std::string& body,
                         std::optional<std::int64_t> parent = std::nullopt) {
    SavePage page;
    page.id = id;
    page.expected_version = version;
    page.title = title;
    page.body = body;
    page.author = user;
    page.parent_id = parent;
    return run(save_page(db(), gates, page, soon()));
  }
  std::string found(const SearchQuery& query) {
    const auto result = good(search_pages(db(), gates, query, true, soon()));
    std::vector<std::string> titles;
    for (const auto& hit : result.hits) titles.push_back(hit.page.title);
    return join(titles, ", ");
  }
  std::string found(const std::string& words) {
    SearchQuery query;
    query.text = words;
    return found(query);
  }
  std::string children(std::int64_t id) {
    std::vector<std::string> titles;
    for (const auto& child : good(list_children(db(), id, 0, 50, soon()))) titles.push_back(child.title);
    return join(titles, ", ");
  }
  std::int64_t user = 0, home = 0;

 private:
  local::TempDir folder_;
  std::unique_ptr<test::Database> site_;
  std::unique_ptr<test::Loop> loop_;
  std::unique_ptr<Recorder> recorder_;
};

void keep_pages(Subject& s) {
  const auto id = s.page("Überblick", "<p>one</p>");
  auto page = s.good(read_page(s.db(), gates, id, soon()));
  EXPECT_EQ(page.body, "<p>one</p>");
  EXPECT_EQ(page.title, "Überblick");
  EXPECT_EQ(page.version, 1);
  EXPECT_EQ(page.created_by.name, "Admin");
  ASSERT_EQ(page.ancestors.size(), 1U);
  EXPECT_EQ(page.ancestors[0].title, "Manual Home");
  const auto now = SystemClock().unix_ms();
  EXPECT_LT(std::abs(page.created_at_ms - now), 60'000);

  const auto saved = s.save(id, 1, "Überblick", "<p>two</p>");
  ASSERT_TRUE(saved) << saved.error().message();
  EXPECT_EQ(saved->version, 2);
  const auto stale = s.save(id, 1, "Überblick", "<p>three</p>");
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().kind(), ErrorKind::conflict);
  const auto first_home = s.good(list_versions(s.db(), s.home, 0, 10, soon()));
  ASSERT_EQ(first_home.size(), 1U);
  EXPECT_EQ(first_home[0].title, "Manual Home");
  EXPECT_EQ(s.good(read_page_by_title(s.db(), gates, "Doc", "ÜBERBLICK", soon())).body, "<p>two</p>");
  EXPECT_EQ(s.good(read_version(s.db(), gates, id, 1, soon())).body, "<p>one</p>");
  EXPECT_EQ(s.good(list_versions(s.db(), id, 0, 10, soon())).size(), 2U);

  NewPage again;
  again.space_key = "DOC";
  again.title = "überblick";
  again.author = s.user;
  const auto taken = s.run(create_page(s.db(), gates, again, soon()));
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().message().contains("title already exists")) << taken.error().message();
  again.title = "Elsewhere";
  again.parent_id = 99'999;
  const auto orphan = s.run(create_page(s.db(), gates, again, soon()));
  ASSERT_FALSE(orphan);
  EXPECT_EQ(orphan.error().kind(), ErrorKind::invalid_argument);
  again.space_key = "NONE";
  const auto nowhere = s.run(create_page(s.db(), gates, again, soon()));
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().kind(), ErrorKind::not_found);

  const auto both = s.good(read_pages(s.db(), gates, {id, s.home}, soon()));
  EXPECT_EQ(both.size(), 2U);
  EXPECT_EQ(s.good(list_recent(s.db(), "", 0, 1, soon()))[0].id, id);
  EXPECT_EQ(s.good(list_recent(s.db(), "DOC", 1, 5, soon())).size(), 1U);
  for (const auto* key : {"", "DOC"})
    for (const auto* title : {"", "überBLICK"}) {
      const auto listed = s.good(list_pages(s.db(), key, title, "current", 0, 10, soon()));
      EXPECT_EQ(listed.size(), *title ? 1U : 2U) << key << title;
    }
  const auto matches = s.good(find_titles(s.db(), {{"doc", "überblick"}, {"DOC", "None"}}, soon()));
  ASSERT_EQ(matches.size(), 1U);
  EXPECT_EQ(matches[0].id, id);
  s.good(collect_bodies(s.db(), gates, soon()));
}

void keep_trees(Subject& s) {
  const auto a = s.page("A"), b = s.page("B"), c = s.page("C", "<p/>", a);
  EXPECT_EQ(s.children(s.home), "A, B");
  s.good(move_page(s.db(), gates, b, MovePlace::before, a, soon()));
  EXPECT_EQ(s.children(s.home), "B, A");
  s.good(move_page(s.db(), gates, b, MovePlace::after, a, soon()));
  EXPECT_EQ(s.children(s.home), "A, B");
  s.good(move_page(s.db(), gates, b, MovePlace::append, a, soon()));
  EXPECT_EQ(s.children(a), "C, B");
  const auto top = s.good(list_branch(s.db(), s.home, 0, 10, soon()));
  ASSERT_EQ(top.size(), 1U);
  EXPECT_TRUE(top[0].id == a && top[0].title == "A" && top[0].has_children);
  const auto second = s.good(list_branch(s.db(), a, 1, 10, soon()));
  ASSERT_EQ(second.size(), 1U);
  EXPECT_TRUE(second[0].title == "B" && !second[0].has_children);
  EXPECT_FALSE(s.run(move_page(s.db(), gates, a, MovePlace::append, c, soon()))) << "below itself";
  EXPECT_EQ(s.good(list_descendants(s.db(), s.home, 0, 10, soon())).size(), 3U);
  ASSERT_TRUE(s.save(b, 1, "B", "<p/>", s.home));
  EXPECT_EQ(s.children(s.home), "A, B");
  const auto circle = s.save(a, 1, "A", "<p/>", c);
  ASSERT_FALSE(circle);
  EXPECT_EQ(circle.error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(s.good(read_page(s.db(), gates, a, soon())).version, 1);

  s.good(trash_page(s.db(), gates, a, s.user, soon()));
  EXPECT_EQ(s.children(s.home), "C, B");
  EXPECT_FALSE(s.run(trash_page(s.db(), gates, s.home, s.user, soon())));
  s.good(restore_page(s.db(), gates, a, s.user, soon()));
  s.good(trash_page(s.db(), gates, a, s.user, soon()));
  s.good(purge_page(s.db(), gates, a, soon()));
  EXPECT_FALSE(s.run(read_page(s.db(), gates, a, soon())));
  EXPECT_GT(s.page("After a purge"), a) << "an id is not given again";

  const auto labels = s.good(add_labels(s.db(), gates, b, {{"global", "zoo"}, {"my", "app"}}, soon()));
  EXPECT_EQ(labels.size(), 2U);
  s.good(add_labels(s.db(), gates, b, {{"global", "zoo"}}, soon()));
  EXPECT_EQ(s.good(read_page(s.db(), gates, b, soon())).labels.at(0).name, "app");
  s.good(remove_label(s.db(), gates, b, "app", soon()));
  EXPECT_EQ(s.good(list_labels(s.db(), b, soon())).size(), 1U);

  const auto ids = s.good(reserve_page_ids(s.db(), 2, soon()));
  ASSERT_EQ(ids.size(), 2U);
  NewPage parent, child;
  parent.id = ids[0], child.id = ids[1], child.parent_id = ids[0];
  parent.space_key = child.space_key = "DOC";
  parent.title = "Imported", child.title = "Imported too";
  EXPECT_EQ(s.good(create_pages(s.db(), gates, {parent, child}, soon())).size(), 2U);
  EXPECT_EQ(s.children(ids[0]), "Imported too");
  child.id.reset(), parent.id.reset(), parent.title = "Half";
  EXPECT_FALSE(s.run(create_pages(s.db(), gates, {parent, child}, soon()))) << "all or none";
  EXPECT_FALSE(s.run(read_page_by_title(s.db(), gates, "DOC", "Half", soon())));
}

void keep_attachments(Subject& s) {
  UploadedFile file{s.home, "plan.pdf", "d1", 7, "application/pdf", "first", s.user};
  const auto first = s.good(upload_attachment(s.db(), gates, file, UploadMode::create, soon()));
  EXPECT_EQ(first.version, 1);
  EXPECT_FALSE(s.run(upload_attachment(s.db(), gates, file, UploadMode::create, soon())));
  file.digest = "d2";
  EXPECT_EQ(s.good(upload_attachment(s.db(), gates, file, UploadMode::create_or_update, soon())).version, 2);
  file.digest = "d3";
  const auto third = s.good(replace_attachment(s.db(), gates, first.id, file, soon()));
  EXPECT_EQ(third.version, 3);
  EXPECT_EQ(third.digest, "d3");
  EXPECT_EQ(s.good(find_attachment(s.db(), s.home, "plan.pdf", 2, soon())).digest, "d2");
  file.file_name = "other.pdf";
  s.good(upload_attachments(s.db(), gates, {file}, soon()));
  EXPECT_EQ(s.good(list_attachments(s.db(), s.home, "", 0, 10, soon())).size(), 2U);
  s.good(trash_attachment(s.db(), gates, first.id, soon()));
  EXPECT_FALSE(s.run(read_attachment(s.db(), first.id, soon())));
}

void keep_people(Subject& s) {
  using std::chrono::seconds;
  const std::string hash(32, '\xAB'), other(32, '\0');
  EXPECT_FALSE(s.good(create_first_user(s.db(), gates, {"late", "", "", "h", true}, soon())));
  const auto jo = s.good(create_user(s.db(), gates, {"Jörg", "J", "j@x", "secret", false}, soon()));
  EXPECT_FALSE(jo.administrator);
  EXPECT_FALSE(s.run(create_user(s.db(), gates, {"jÖRG", "", "", "h", false}, soon())));
  EXPECT_TRUE(s.good(read_user(s.db(), s.user, soon())).administrator);
  EXPECT_EQ(s.good(list_users(s.db(), 1, 5, soon())).size(), 1U);
  const auto found = s.good(find_users(s.db(), {.text = "J@X"}, soon()));
  EXPECT_EQ(found.total, 1);
  ASSERT_EQ(found.users.size(), 1U);
  EXPECT_EQ(found.users[0].name, "Jörg");
  EXPECT_EQ(s.good(find_users(s.db(), {.text = "%"}, soon())).total, 0) << "no wildcard";
  EXPECT_EQ(s.good(find_users(s.db(), {.administrators = true}, soon())).total, 1);
  EXPECT_EQ(s.good(find_users(s.db(), {.limit = 1}, soon())).total, 2);
  const auto root = s.good(read_user(s.db(), s.user, soon()));
  auto demoted = root, promoted = jo;
  demoted.administrator = false;
  promoted.administrator = true;
  promoted.full_name = "Jo";
  EXPECT_FALSE(s.run(change_user(s.db(), gates, root, demoted, "root", soon()))) << "nobody would be left";
  s.good(change_user(s.db(), gates, jo, promoted, "root", soon()));
  EXPECT_EQ(s.good(read_user(s.db(), jo.id, soon())).full_name, "Jo");
  s.good(change_user(s.db(), gates, root, demoted, "root", soon()));
  s.good(change_user(s.db(), gates, demoted, root, "Jörg", soon()));
  s.good(change_user(s.db(), gates, promoted, jo, "root", soon()));

  const auto last_here = [&] { return s.good(find_users(s.db(), {.text = "jörg"}, soon())).users.at(0).last_seen_ms; };
  EXPECT_EQ(last_here(), 0);
  s.good(create_session(s.db(), gates, hash, jo.id, "csrf", seconds(60), soon()));
  EXPECT_LT(std::abs(last_here() - SystemClock().unix_ms()), 60'000);
  const auto session = s.good(read_session(s.db(), hash, soon()));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->user.name, "Jörg");
  EXPECT_FALSE(session->touch_due);
  s.good(touch_session(s.db(), gates, hash, jo.id, soon()));
  s.good(touch_user(s.db(), gates, jo.id, soon()));
  s.good(create_session(s.db(), gates, other, jo.id, "csrf", seconds(-5), soon()));
  EXPECT_FALSE(s.good(read_session(s.db(), other, soon()))) << "has ended";
  s.good(remove_session(s.db(), gates, hash, soon()));
  EXPECT_FALSE(s.good(read_session(s.db(), hash, soon())));

  EXPECT_FALSE(s.good(find_candidate(s.db(), "JÖRG", hash, soon())).verified);
  s.good(note_verified(s.db(), gates, hash, jo.id, "secret", seconds(60), soon()));
  const auto candidate = s.good(find_candidate(s.db(), "jörg", hash, soon()));
  EXPECT_TRUE(candidate.verified);
  EXPECT_GT(candidate.remaining.count(), 30'000);
  auto changed = jo;
  changed.password_hash = "changed";
  s.good(create_session(s.db(), gates, hash, jo.id, "kept", seconds(60), soon()));
  s.good(create_session(s.db(), gates, other, jo.id, "ended", seconds(60), soon()));
  s.good(reset_password(s.db(), gates, changed, {.actor = "root", .kept_csrf = "kept"}, soon()));
  EXPECT_TRUE(s.good(read_session(s.db(), hash, soon())));
  EXPECT_FALSE(s.good(read_session(s.db(), other, soon())));
  EXPECT_FALSE(s.good(find_candidate(s.db(), "jörg", hash, soon())).verified) << "the password is another one";

  s.good(create_token(s.db(), gates, hash, jo.id, "ci", std::nullopt, soon()));
  s.good(create_token(s.db(), gates, other, jo.id, "old", seconds(-5), soon()));
  EXPECT_TRUE(s.good(read_token(s.db(), hash, soon())));
  EXPECT_FALSE(s.good(read_token(s.db(), other, soon())));

  EXPECT_FALSE(s.run(create_space(s.db(), gates, {.key = "doc", .name = "Twice"}, soon())));
  EXPECT_EQ(s.good(list_spaces(s.db(), 0, 10, soon())).size(), 1U);
  EXPECT_EQ(s.good(update_space(s.db(), gates, "DOC", "Handbook", std::nullopt, std::nullopt, soon())).name,
            "Handbook");
  EXPECT_FALSE(s.run(update_space(s.db(), gates, "DOC", std::nullopt, std::nullopt, 99'999, soon())));
  s.good(server::fail_unfinished_tasks(s.db(), gates, "n1", soon()));
}

void hear_of_changes(Subject& s) {
  ChangeLog log(s.db());
  std::vector<std::string> heard;
  log.subscribe([&](std::string_view kind, std::string_view key) {
    heard.push_back(std::string(kind) + " " + std::string(key));
  });
  s.good(log.fresh(soon()));
  EXPECT_TRUE(heard.empty());
  const auto id = s.page("Told");
  s.good(log.fresh(soon()));
  EXPECT_EQ(join(heard, ", "), "space doc");
  ASSERT_TRUE(s.save(id, 1, "Told", "<p>anew</p>"));
  s.good(log.fresh(soon()));
  s.good(log.fresh(soon()));
  EXPECT_EQ(join(heard, ", "), "space doc, page " + std::to_string(id));
}

struct FoundCase {
  std::string_view typed, titles;
};
constexpr auto found_cases = std::to_array<FoundCase>({
    {"max_connections", "Settings"},
    {"MAX_CONN*", "Settings"},
    {"vacuums", "Vacuum, Settings"},
    {"the vacuum", "Vacuum, Settings"},
    {"\"max connections\"", "Settings"},
    {"\"connections max\"", ""},
    {"vacuum -max_connections", "Vacuum"},
    {"ÜBERALL", "Umlaut"},
    {"uberall", ""},
    {"*", ""},
    {"\" ' ( AND NEAR", ""},
});

void find(Subject& s) {
  s.page("Settings", "<p>Set max_connections before the vacuum runs.</p>");
  s.page("Umlaut", "<p>Man sieht es überall.</p>");
  const auto vacuum = s.page("Vacuum", "<p>It cleans up.</p>");
  for (const auto& [typed, titles] : found_cases) EXPECT_EQ(s.found(std::string(typed)), titles) << typed;
  SearchQuery either;  // in which order is a matter of rank
  either.text = "max_connections or überall";
  EXPECT_EQ(s.good(search_pages(s.db(), gates, either, false, soon())).total, 2);
  ASSERT_TRUE(s.save(vacuum, 1, "Vacuum", "<p>It sweeps.</p>"));
  EXPECT_EQ(s.found("cleans"), "") << "the former text";
  EXPECT_EQ(s.found("sweeping"), "Vacuum");
  s.good(add_labels(s.db(), gates, vacuum, {{"global", "ops"}}, soon()));
  SearchQuery query;
  query.title_like = "vac*";
  query.label = "ops";
  query.space_key = "doc";
  query.ancestor = s.home;
  EXPECT_EQ(s.found(query), "Vacuum");
  SearchQuery all;
  all.order = "title";
  all.start = 1, all.limit = 2;
  const auto page = s.good(search_pages(s.db(), gates, all, false, soon()));
  EXPECT_EQ(page.total, 4);
  EXPECT_EQ(page.hits.size(), 2U);
  SearchQuery words;
  words.text = "sweeps";
  const auto hit = s.good(search_pages(s.db(), gates, words, true, soon()));
  ASSERT_EQ(hit.hits.size(), 1U);
  EXPECT_TRUE(hit.hits[0].excerpt.contains("sweeps")) << hit.hits[0].excerpt;
  s.good(trash_page(s.db(), gates, vacuum, s.user, soon()));
  EXPECT_EQ(s.found("sweeps"), "");
  s.good(purge_page(s.db(), gates, vacuum, soon()));
  EXPECT_EQ(s.found("sweeps"), "");
}

void keep_drafts(Subject& s) {
  const auto id = s.page("A");
  DraftPlace of_page{s.user, id, {}, {}}, of_new{s.user, {}, "doc", {}}, below{s.user, {}, "DOC", id};
  EXPECT_FALSE(s.good(read_draft(s.db(), of_page, "", soon())));
  for (const auto& place : {of_page, of_new, below})
    for (const std::string body : {"<p>half a", "<p>half a tag</p>"}) {
      Draft draft;
      draft.title = place.page_id ? "A" : place.parent_id ? "Below" : "New";
      draft.body = body;
      draft.message = "why";
      draft.base_version = place.page_id ? 1 : 0;
      const auto at = s.good(save_draft(s.db(), gates, place, draft, soon()));
      EXPECT_LT(std::abs(at - SystemClock().unix_ms()), 60'000);
      const auto kept = s.good(read_draft(s.db(), place, "", soon()));
      ASSERT_TRUE(kept);
      EXPECT_EQ(kept->title, draft.title);
      EXPECT_EQ(kept->body, body);
      EXPECT_EQ(kept->message, "why");
      EXPECT_EQ(kept->base_version, draft.base_version);
      EXPECT_EQ(kept->updated_at_ms, at);
    }
  // Another form of the same place has its own.
  const auto of = [&](const DraftPlace& place) {
    std::string said;
    for (const auto& draft : s.good(list_drafts(s.db(), place, 10, soon())))
      said += fmt::format("{} in {} from {}; ", draft.form, draft.place.space_key, draft.base_version);
    return said;
  };
  for (const auto& place : {of_page, of_new, below}) {
    EXPECT_FALSE(s.good(read_draft(s.db(), place, "tab2", soon())));
    Draft draft{"Other", "<p>other", "", 1, 0, "tab2"};
    s.good(save_draft(s.db(), gates, place, draft, soon()));
    draft.body += "s";
    s.good(save_draft(s.db(), gates, place, draft, soon()));
    EXPECT_EQ(s.good(read_draft(s.db(), place, "tab2", soon()))->body, "<p>others");
    EXPECT_EQ(s.good(read_draft(s.db(), place, "", soon()))->body, "<p>half a tag</p>");
    EXPECT_EQ(of(place), fmt::format("tab2 in DOC from 1;  in DOC from {}; ", place.page_id ? 1 : 0)) << "newest first";
    s.good(remove_draft(s.db(), gates, place, "tab2", soon()));
    EXPECT_EQ(of(place), fmt::format(" in DOC from {}; ", place.page_id ? 1 : 0));
  }
  s.good(save_draft(s.db(), gates, of_new, {"", "<p></p>", "", 0, 0, "tab3"}, soon()));
  EXPECT_FALSE(of(of_new).contains("tab3")) << "nothing is written in it";
  const auto listed = [&] {
    std::string titles;
    for (const auto& draft : s.good(list_drafts(s.db(), s.user, 10, soon()))) {
      titles += draft.title + " in " + draft.space_name + "; ";
      EXPECT_EQ(draft.place.space_key, "DOC");
    }
    return titles;
  };
  const auto space = s.good(read_space(s.db(), "DOC", soon())).name;
  EXPECT_EQ(listed(), fmt::format("Below in {0}; New in {0}; A in {0}; ", space)) << "the newest first";
  const auto page = s.good(read_page(s.db(), gates, id, soon()));
  s.good(save_draft(s.db(), gates, of_page, {page.title, page.body, "", page.version, 0, ""}, soon()));
  EXPECT_EQ(listed(), fmt::format("Below in {0}; New in {0}; ", space)) << "what the page says is no draft";
  EXPECT_TRUE(s.good(list_drafts(s.db(), s.user + 1, 10, soon())).empty());
  DraftPlace of_nobody = of_page;
  of_nobody.author = s.user + 1;
  EXPECT_FALSE(s.good(read_draft(s.db(), of_nobody, "", soon()))) << "nobody reads another's";
  DraftPlace lost{s.user, 99'999, {}, {}}, nowhere{s.user, {}, "NONE", {}};
  EXPECT_EQ(s.run(save_draft(s.db(), gates, lost, {}, soon())).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(s.run(save_draft(s.db(), gates, nowhere, {}, soon())).error().kind(), ErrorKind::not_found);
  s.good(remove_draft(s.db(), gates, of_new, "", soon()));
  EXPECT_FALSE(s.good(read_draft(s.db(), of_new, "", soon())));
  EXPECT_TRUE(s.good(read_draft(s.db(), below, "", soon())));
  s.good(remove_draft(s.db(), gates, of_new, "", soon()));
  s.good(remove_draft(s.db(), gates, of_page, "", soon()));
  EXPECT_FALSE(s.good(read_draft(s.db(), of_page, "", soon())));
}

using Scenario = void (*)(Subject&);
constexpr Scenario scenarios[] = {keep_pages,      keep_trees, keep_attachments, keep_people, keep_drafts,
                                  hear_of_changes, find};

class TwoDatabases : public testing::TestWithParam<const char*> {
 protected:
  Subject subject{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Both, TwoDatabases, testing::Values("postgresql", "sqlite"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(TwoDatabases, KeepPagesWithTheirVersions) { keep_pages(subject); }
TEST_P(TwoDatabases, KeepTreesAndLabels) { keep_trees(subject); }
TEST_P(TwoDatabases, KeepAttachments) { keep_attachments(subject); }
TEST_P(TwoDatabases, KnowPeopleSessionsTokensAndSpaces) { keep_people(subject); }
TEST_P(TwoDatabases, KeepDraftsForTheirAuthors) { keep_drafts(subject); }
TEST_P(TwoDatabases, TellWhatHasChanged) { hear_of_changes(subject); }
TEST_P(TwoDatabases, FindWhatPeopleLookFor) { find(subject); }

TEST(Dialect, KnowsEveryStatementOfATrialAndHasNoFormForAnyOther) {
  std::set<std::string> statements;
  for (const auto scenario : scenarios) {
    Subject subject("sqlite");
    scenario(subject);
    const auto& seen = subject.recorder().statements;
    statements.insert(seen.begin(), seen.end());
  }
  EXPECT_GT(statements.size(), 40U);
  local::TempDir folder;
  ASSERT_TRUE(sqlite::prepare_file(trial_options(folder.path())));
  std::atomic<std::int64_t> page_id = 0;
  auto connection = sqlite::Connection::open(folder.path() + "/trial.db", sqlite_statements, page_id);
  ASSERT_TRUE(connection);
  std::set<std::string> digests;
  for (const auto& sql : statements) {
    digests.insert(statement_digest(sql));
    auto known = sqlite_statements(sql);
    ASSERT_TRUE(known) << known.error().message();
    for (const auto& step : *known) {
      auto explained = (*connection)->check(step);
      EXPECT_TRUE(explained) << explained.error().message();
    }
  }
  for (const auto& form : sqlite_forms())
    EXPECT_TRUE(digests.contains(std::string(form.digest))) << "no store sends the statement of \"" << form.name
                                                            << "\" any more, or its text has changed: look whether the "
                                                            << "form has to change too, and give it the new digest";
}

TEST(TrialFile, OfAnOlderReleaseIsBroughtUpToDate) {
  local::TempDir folder;
  auto older = trial_options(folder.path());
  older.changes = {};
  ASSERT_TRUE(sqlite::prepare_file(older));
  const auto run = [&](const std::string& sql) {
    std::atomic<std::int64_t> page_id = 0;
    auto connection = sqlite::Connection::open(older.file, sqlite_statements, page_id);
    return connection ? (*connection)->run_plain(sql) : std::unexpected(connection.error());
  };
  for (const auto* sql :
       {"insert into space (id, key, name) values (1, 'T', 'Test')",
        "insert into page (id, space_id, title) values (1, 1, 'Page')",
        "insert into page_body (hash, size, data) values (x'00', 0, x'00')",
        "insert into page_version (page_id, number, title, body_hash) values (1, 1, 'Page', x'00')"}) {
    auto done = run(sql);
    ASSERT_TRUE(done) << done.error().message();
  }
  for (int i = 0; i < 2; ++i) {
    auto prepared = sqlite::prepare_file(trial_options(folder.path()));
    ASSERT_TRUE(prepared) << prepared.error().message();
    auto seen = run("select words_added from page_version");
    ASSERT_TRUE(seen) << seen.error().message();
    EXPECT_TRUE(seen->is_null(0, 0)) << "nobody has measured it";
  }
  auto back = sqlite::prepare_file(older);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code(), sqlite::newer_schema);
}

TEST(Dialect, RefusesWhatOnlyPostgresUnderstands) {
  for (const auto* sql : {"select unnest($1::text[])", "select a::uuid from t", "select id from t for update",
                          "select extract(year from t.x) from t", "select interval '3 months'"}) {
    const auto refused = sqlite_statements(sql);
    ASSERT_FALSE(refused) << sql;
    EXPECT_TRUE(refused.error().message().contains(statement_digest(sql))) << refused.error().message();
  }
}

}  // namespace
}  // namespace afloat::store
