#include <fmt/format.h>

#include <regex>

#include "base/json_fields.h"
#include "support/browser.h"
#include "support/lone_node.h"

// What people who read and write get from a node. How it behaves in a browser with scripts is tested by ./run test e2e.
namespace afloat::test {
namespace {

namespace json = boost::json;

std::string page_json(const std::string& title, const std::string& body, const std::string& parent = {},
                      int version = 0) {
  json::object page{{"type", "page"},
                    {"title", title},
                    {"space", {{"key", "DOC"}}},
                    {"body", {{"storage", {{"value", body}, {"representation", "storage"}}}}}};
  if (!parent.empty()) page["ancestors"] = json::array{{{"id", parent}}};
  if (version > 0) page["version"] = {{"number", version}};
  return json::serialize(page);
}

/// One node with the space DOC, and a person who is signed in by form.
class Pages : public testing::Test {
 protected:
  Pages() : node_(database_.connection()) {}
  void SetUp() override {
    node_.write_config();
    node_.start();
    ASSERT_TRUE(node_.wait_ready()) << node_.log();
    ASSERT_EQ(admin().post("/rest/api/space", R"({"key":"DOC","name":"Manual"})").status, 200);
    browser_ = std::make_unique<Browser>(node_.url(), "admin", LoneNode::password);
  }
  HttpClient admin() { return node_.admin(); }
  Browser& browser() { return *browser_; }
  std::string make(const std::string& title, const std::string& body = "<p>text</p>", const std::string& parent = {}) {
    const auto made = admin().post("/rest/api/content", page_json(title, body, parent));
    EXPECT_EQ(made.status, 200) << *made.body;
    auto page = parse_json_object(*made.body, "the answer");
    return page ? string_or(*page, "id") : std::string();
  }
  void save(const std::string& id, const std::string& title, const std::string& body, int version) {
    const auto saved = admin().put("/rest/api/content/" + id, page_json(title, body, "", version));
    EXPECT_EQ(saved.status, 200) << *saved.body;
  }
  std::string shown(const std::string& path, int status = 200) {
    const auto answer = browser().get(path);
    EXPECT_EQ(answer.status, status) << path << "\n" << *answer.body;
    return *answer.body;
  }
  static void expect_words(const std::string& text, std::initializer_list<std::string> words) {
    for (const auto& word : words) EXPECT_TRUE(text.contains(word)) << "no \"" << word << "\" in:\n" << text;
  }

  Database database_;
  LoneNode node_;
  std::unique_ptr<Browser> browser_;
};

TEST_F(Pages, TellWhatDiffersBetweenTwoVersions) {
  const auto id = make("Boats", "<h1>Boats</h1><p>the red boat</p><p>gone</p>");
  save(id, "Ships", "<h1>Boats</h1><p>the blue &lt;b&gt; boat</p><ul><li>new one</li></ul>", 2);
  const auto diff = shown("/pages/" + id + "/diff?from=1&to=2");
  expect_words(diff, {"<del>red</del>", "<ins>blue &lt;b&gt;</ins>", "<del>gone</del>", "<ins>new one</ins>",
                      "<del>Boats</del> <ins>Ships</ins>", "4 words added, 2 removed."});
  EXPECT_EQ(shown("/pages/" + id + "/diff"), shown("/pages/" + id + "/diff?from=2&to=1")) << "the newest change";
  expect_words(shown("/pages/" + id + "/diff?from=2&to=2", 400), {"Choose two versions"});
  expect_words(shown("/pages/" + id + "/diff?from=1&to=7", 404), {"7"});
  const auto history = shown("/pages/" + id + "/history");
  const auto old = "/pages/" + id + "/edit?version=1";
  expect_words(shown("/pages/" + id + "?version=1"), {"href=\"" + old + "\"", "bring this version back"});
  expect_words(shown(old), {"value=\"Boats\"", "the red boat", "name=\"version\" value=\"2\"", "Back to version 1"});
  shown("/pages/" + id + "/edit?version=7", 404);
  expect_words(history,
               {"name=\"from\" value=\"1\"", "name=\"to\" value=\"2\"", "/pages/" + id + "/diff?from=1&amp;to=2"});
  expect_words(shown("/pages/" + make("Alone") + "/history"), {"one version so far"});
}

TEST_F(Pages, ShowTheTreeAroundAPageAndStayLightInALargeSpace) {
  const auto top = make("Top"), middle = make("Middle", "<p/>", top), leaf = make("Leaf", "<p/>", middle);
  for (int i = 0; i < 60; ++i) make(fmt::format("Other page with a long name, number {}", i), "<p/>", top);
  const auto page = shown("/pages/" + leaf);
  expect_words(page,
               {fmt::format("<a href=\"/pages/{}\" aria-current=\"page\">Leaf</a>", leaf),
                fmt::format("<li data-id=\"{}\" data-children><a href=\"/pages/{}\">Middle</a>\n<ul>", middle, middle),
                fmt::format("<a href=\"/pages/{}/children?start=25\">More pages</a>", top)});
  EXPECT_LT(page.size(), 20'000U);
  const auto answer = browser().get("/pages/" + top + "/children?start=50&fragment=1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body->starts_with("<li data-id=")) << *answer.body;
  EXPECT_FALSE(answer.body->contains("More pages"));
  expect_words(shown("/pages/" + top + "/children"), {"Pages below", "start=50"});

  // A cached tree tells of each change at once, whoever made it.
  make("Fresh", "<p/>", leaf);
  expect_words(shown("/pages/" + leaf), {">Fresh</a>"});
  save(leaf, "Renamed", "<p/>", 2);
  expect_words(shown("/pages/" + middle), {">Renamed</a>"});
  make("At the top");
  expect_words(shown("/pages/" + leaf), {">At the top</a>"});
  expect_words(shown("/spaces/DOC"), {">At the top</a>", ">Top</a>"});
}

TEST_F(Pages, AllowScriptsOfTheSitesAssetsAlone) {
  const auto answer = browser().get("/");
  const auto policy = std::string(answer.headers.get("Content-Security-Policy"));
  EXPECT_TRUE(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe")) << policy;
  std::smatch script;
  ASSERT_TRUE(std::regex_search(*answer.body, script,
                                std::regex(R"re(<script src="(/assets/reading\.[0-9a-f]{16}\.js)" defer></script>)re")))
      << *answer.body;
  const auto bytes = admin().get(script[1].str());
  const auto css = answer.body->substr(answer.body->find("/assets/app."), 32);
  // What a page of a large space costs a visitor at the first look.
  EXPECT_LT(bytes.body->size() + admin().get(css.substr(0, css.find('"'))).body->size(), 42'000U);

  // Nobody's upload is one of them.
  const auto id = make("Files");
  const auto token = browser().field("/pages/" + id, "csrf");
  const auto upload = [&](const std::string& csrf, const std::string& name) {
    return browser().send("POST", "/pages/" + id + "/attachments",
                          "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n" + csrf +
                              "\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name +
                              "\"\r\nContent-Type: text/javascript\r\n\r\nalert(1)\r\n--b--\r\n",
                          {{"Content-Type", "multipart/form-data; boundary=b"}});
  };
  EXPECT_EQ(upload("stolen", "evil.js").status, 403);
  const auto without = upload(token, "");
  EXPECT_EQ(without.status, 400);
  EXPECT_TRUE(without.body->contains("No file was chosen")) << *without.body;
  EXPECT_EQ(upload(token, "evil.js").status, 303);
  EXPECT_EQ(upload(token, "evil.js").status, 303) << "the next version";
  expect_words(shown("/pages/" + id), {">evil.js</a>", "8 bytes", "version 2"});
  const auto file = browser().get("/download/attachments/" + id + "/evil.js");
  EXPECT_EQ(file.headers.get("Content-Type"), "application/octet-stream");
  EXPECT_EQ(file.headers.get("X-Content-Type-Options"), "nosniff");
}

TEST_F(Pages, AreMovedDeletedAndBroughtBack) {
  const auto top = make("Harbour"), other = make("Workshop"), id = make("Anchor", "<p>iron</p>", top),
             below = make("Chain", "<p>links</p>", id);
  const auto organise = "/pages/" + id + "/organise";
  expect_words(shown("/pages/" + id), {"href=\"" + organise + "\""});
  const auto token = browser().field(organise, "csrf");
  const auto act = [&](const std::string& form) { return browser().post(organise, "csrf=" + token + "&" + form); };
  EXPECT_EQ(browser().post(organise, "csrf=stolen&do=delete").status, 403);
  const auto nowhere = act("do=move&below=No+such+page");
  EXPECT_EQ(nowhere.status, 400);
  expect_words(*nowhere.body, {"There is no page &quot;No such page&quot;", "value=\"No such page\""});
  EXPECT_EQ(act("do=move&below=Chain").status, 400) << "below itself";
  EXPECT_EQ(act("do=move&below=workshop").status, 303);
  expect_words(shown("/pages/" + id), {"href=\"/pages/" + other + "\""});

  const auto file = browser().send("POST", "/pages/" + id + "/attachments",
                                   "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n" + token +
                                       "\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.txt\"\r\n"
                                       "Content-Type: text/plain\r\n\r\nhello\r\n--x--\r\n",
                                   {{"Content-Type", "multipart/form-data; boundary=x"}});
  ASSERT_EQ(file.status, 303) << *file.body;
  expect_words(shown(organise), {"value=\"a b.txt\""});
  EXPECT_EQ(act("do=remove&file=a+b.txt").status, 303);
  EXPECT_FALSE(shown("/pages/" + id).contains("a b.txt"));
  EXPECT_EQ(act("do=remove&file=a+b.txt").status, 400) << "it is gone";

  EXPECT_EQ(act("do=delete").status, 303);
  shown("/pages/" + id, 404);
  expect_words(shown(organise), {"In the trash", "Bring it back"});
  expect_words(shown("/pages/" + below), {"href=\"/pages/" + other + "\""});
  EXPECT_EQ(act("do=restore").status, 303);
  expect_words(shown("/pages/" + id), {"iron"});

  const auto home = database_.query("select homepage_id from space where key = 'DOC'");
  expect_words(shown("/pages/" + home + "/organise"), {"can be neither moved nor deleted"});
  EXPECT_EQ(browser().post("/pages/" + home + "/organise", "csrf=" + token + "&do=delete").status, 400);
}

TEST_F(Pages, TakeAndRemoveLabels) {
  const auto id = make("Labelled");
  const auto token = browser().field("/pages/" + id, "csrf");
  const auto labels = "/pages/" + id + "/labels";
  EXPECT_EQ(browser().post(labels, "csrf=stolen&add=x").status, 403);
  EXPECT_EQ(browser().post(labels, "csrf=" + token + "&add=Runbook%2C+on-call").status, 303);
  expect_words(shown("/pages/" + id), {"value=\"runbook\"", "value=\"on-call\"", "href=\"/search?label=runbook\""});
  expect_words(shown("/search?label=runbook"), {"1 to 1 of 1", ">Labelled</a>", "Only pages with the label"});
  expect_words(shown("/search?label=runbook&q=nosuchword"), {"No page with this label has all of these words."});
  expect_words(shown("/search?label=none"), {"No page has this label."});
  EXPECT_EQ(browser().post(labels, "csrf=" + token + "&add=a%3Ab").status, 400);
  EXPECT_EQ(browser().post(labels, "csrf=" + token + "&remove=runbook").status, 303);
  EXPECT_FALSE(shown("/pages/" + id).contains("runbook"));
}

TEST_F(Pages, PreviewWhatWillBeShownAndNothingElse) {
  const auto id = make("Known");
  const auto token = browser().field("/pages/" + id, "csrf");
  const std::string body =
      "title=T&body=%3Cp%3Ehi%3Cscript%3Ealert(1)%3C%2Fscript%3E%3Cac%3Alink%3E%3Cri%3Apage+ri%3Acontent-title%3D%22"
      "Known%22%2F%3E%3C%2Fac%3Alink%3E%3C%2Fp%3E&csrf=" +
      token;
  for (const std::string path : {"/pages/" + id + "/preview", std::string("/spaces/DOC/preview")}) {
    const auto piece = browser().post(path + "?fragment=1", body);
    EXPECT_EQ(piece.status, 200);
    EXPECT_EQ(piece.headers.get("Content-Security-Policy"), "default-src 'none'; sandbox");
    EXPECT_EQ(*piece.body, fmt::format("<p>hi<a href=\"/pages/{}\">Known</a></p>", id));
    const auto whole = browser().post(path, body);
    EXPECT_EQ(whole.status, 200);
    expect_words(*whole.body, {"not saved yet", *piece.body, "&lt;script&gt;", "name=\"body\""});
  }
  const auto broken = browser().post("/pages/" + id + "/preview?fragment=1", "title=T&body=%3Cp%3E&csrf=" + token);
  EXPECT_EQ(broken.status, 400);
  EXPECT_TRUE(broken.body->contains("not well-formed")) << *broken.body;
  EXPECT_EQ(browser().post("/pages/" + id + "/preview?fragment=1", "title=T&body=x&csrf=stolen").status, 400);
  EXPECT_TRUE(shown("/pages/" + id).contains("Version 1 ")) << "nothing was saved";
}

TEST_F(Pages, KeepDraftsUntilTheyAreSavedOrDiscarded) {
  const auto id = make("Page", "<p>one</p>");
  const auto edit = "/pages/" + id + "/edit";
  const auto token = browser().field(edit, "csrf");
  const auto put = [&](const std::string& path, const std::string& title, const std::string& text, int version,
                       const std::string& csrf) {
    const json::object draft{{"title", title}, {"body", text}, {"message", "m"}, {"version", version}};
    return browser().send("PUT", path, json::serialize(draft),
                          {{"Content-Type", "application/json"}, {"X-Csrf-Token", csrf}});
  };
  const auto of_page = "/drafts/pages/" + id + "?form=tab1";
  EXPECT_EQ(put(of_page, "Page", "<p>two", 1, "stolen").status, 403);
  const auto kept = put(of_page, "Page", "<p>two", 1, token);
  ASSERT_EQ(kept.status, 200) << *kept.body;
  EXPECT_TRUE(kept.body->contains("savedAt"));
  auto form = shown(edit);
  expect_words(form, {"You have an unsaved draft", "&lt;p&gt;one", edit + "?draft=tab1"});
  EXPECT_FALSE(form.contains("&lt;p&gt;two"));
  expect_words(shown(edit + "?draft=tab1"), {"&lt;p&gt;two", "value=\"m\"", "name=\"form\" value=\"tab1\""});
  EXPECT_EQ(shown("/").contains("&lt;p&gt;two"), false);
  expect_words(shown("/"), {"Not saved yet", edit + "?draft=tab1"});

  // Another tab has a draft of its own, and each is offered where it is not in the form.
  const auto of_tab_2 = "/drafts/pages/" + id + "?form=tab2";
  EXPECT_EQ(put(of_tab_2, "Page", "<p>elsewhere", 1, token).status, 200);
  expect_words(shown(edit), {edit + "?draft=tab1", edit + "?draft=tab2"});
  expect_words(shown("/"), {edit + "?draft=tab1", edit + "?draft=tab2"});
  const auto second = shown(edit + "?draft=tab2");
  expect_words(second, {"&lt;p&gt;elsewhere", "name=\"form\" value=\"tab2\"", edit + "?draft=tab1"});
  EXPECT_FALSE(second.contains(edit + "?draft=tab2"));
  EXPECT_EQ(browser().post(of_tab_2, "csrf=" + token).headers.get("Location"), edit);
  form = shown(edit);
  expect_words(form, {edit + "?draft=tab1"});
  EXPECT_FALSE(form.contains(edit + "?draft=tab2"));
  EXPECT_EQ(put("/drafts/pages/" + id + "?form=a-b", "Page", "<p>x", 1, token).status, 400);
  EXPECT_EQ(shown(edit + "?draft=a-b").contains("a-b"), false);

  // Nobody else is offered it.
  ASSERT_LT(admin()
                .post("/rest/api/admin/user",
                      R"({"userName":"vera","fullName":"Vera","email":"v@localhost","password":"longer-than-8"})")
                .status,
            300);
  Browser vera(node_.url(), "vera", "longer-than-8");
  EXPECT_FALSE(vera.get(edit).body->contains("unsaved draft"));
  EXPECT_FALSE(vera.get("/").body->contains("Not saved yet"));

  // Saved from version 1 after the page has moved on: the writer sees what others did, and then saves over it.
  save(id, "Page", "<p>one and three</p>", 2);
  expect_words(shown(edit), {"The page has been saved since"});
  const auto send = [&](int version) {
    return browser().post(edit, fmt::format("title=Page&body=%3Cp%3Etwo%3C%2Fp%3E&version={}&form=tab1&csrf={}", version, token));
  };
  const auto outrun = send(1);
  EXPECT_EQ(outrun.status, 409);
  expect_words(*outrun.body, {"&lt;p&gt;two&lt;/p&gt;", "<ins> and three</ins>", "Version 1, which you started from",
                              "name=\"version\" value=\"2\"", "name=\"form\" value=\"tab1\""});
  EXPECT_TRUE(shown(edit).contains("unsaved draft"));
  EXPECT_EQ(send(2).status, 303);
  EXPECT_FALSE(shown(edit).contains("unsaved draft"));
  EXPECT_EQ(database_.query("select count(*) from draft"), "0");

  // A new page below another has one of its own.
  const auto place = "/drafts/spaces/DOC?parent=" + id + "&form=tab1", new_form = "/spaces/DOC/new?parent=" + id;
  EXPECT_EQ(put(place, "", "<p></p>", 0, token).status, 200);
  EXPECT_FALSE(shown(new_form).contains("unsaved draft")) << "nothing is written in it";
  EXPECT_EQ(put(place, "Born", "<p>x</p>", 0, token).status, 200);
  expect_words(shown(new_form), {"“Born”", new_form + "&amp;draft=tab1"});
  expect_words(shown("/"), {">Born<", "a new page", new_form + "&amp;draft=tab1"});
  EXPECT_FALSE(shown("/spaces/DOC/new").contains("unsaved draft"));
  EXPECT_EQ(browser().post(place, "csrf=stolen").status, 403);
  EXPECT_EQ(browser().post(place, "csrf=" + token).headers.get("Location"), new_form);
  EXPECT_FALSE(shown(new_form).contains("unsaved draft"));
  EXPECT_EQ(browser().send("DELETE", place, "", {{"X-Csrf-Token", token}}).status, 204);

  // A draft that is the page as it is, as one that arrived after the save, is not offered.
  EXPECT_EQ(put(of_page, "Page", "<p>two</p>", 2, token).status, 200);
  EXPECT_FALSE(shown(edit).contains("unsaved draft"));
  EXPECT_FALSE(shown("/").contains("Not saved yet"));
  HttpClient nobody(node_.url());
  EXPECT_EQ(nobody.put(of_page, "{}").headers.get("WWW-Authenticate"), "Basic realm=\"Afloat\", charset=\"UTF-8\"");
  // A browser would ask for a password in the middle of the writing.
  const auto ended = nobody.send("PUT", of_page, "{}", {{"X-Requested-With", "script"}});
  EXPECT_EQ(ended.status, 401);
  EXPECT_EQ(ended.headers.get("WWW-Authenticate"), "Session realm=\"Afloat\"");
}

TEST_F(Pages, LetUsersChangeTheirOwnPassword) {
  ASSERT_LT(admin()
                .post("/rest/api/admin/user",
                      R"({"userName":"vera","fullName":"Vera","email":"v@localhost","password":"given-to-her"})")
                .status,
            300);
  Browser vera(node_.url(), "vera", "given-to-her"), elsewhere(node_.url(), "vera", "given-to-her");
  EXPECT_TRUE(vera.get("/").body->contains("href=\"/account\""));
  const auto token = vera.field("/account", "csrf");
  const auto change = [&](const std::string& old, const std::string& fresh, const std::string& again,
                          const std::string& csrf) {
    return vera.post("/account", "old=" + old + "&password=" + fresh + "&again=" + again + "&csrf=" + csrf);
  };
  EXPECT_EQ(change("given-to-her", "her-own-one", "her-own-one", "stolen").status, 403);
  EXPECT_EQ(change("guessed", "her-own-one", "her-own-one", token).status, 400);
  EXPECT_EQ(change("given-to-her", "short", "short", token).status, 400);
  EXPECT_EQ(change("given-to-her", "her-own-one", "her-own-two", token).status, 400);
  EXPECT_EQ(elsewhere.get("/").status, 200) << "nothing was changed yet";
  EXPECT_EQ(change("given-to-her", "her-own-one", "her-own-one", token).headers.get("Location"), "/account?changed");
  expect_words(*vera.get("/account?changed").body, {"Your password is changed."});
  EXPECT_EQ(elsewhere.get("/").status, 303) << "signed out";
  EXPECT_EQ(database_.query("select count(*) from session s join app_user u on u.id = s.user_id where u.name = 'vera'"),
            "1");
  Browser again(node_.url(), "vera", "her-own-one");
  EXPECT_EQ(again.get("/").status, 200);
}

TEST_F(Pages, SayWhatToDoWhereThereIsNothingYet) {
  expect_words(shown("/spaces/DOC"), {"no pages yet but its home page", "Write the first page"});
  expect_words(shown("/search?q=nosuchword"), {"No page has all of these words"});
  expect_words(shown("/search"), {"Words are looked for in titles"});
  database_.query("update space set homepage_id = null returning 1");
  database_.query("delete from page returning 1");
  database_.query("delete from space returning 1");
  expect_words(shown("/"), {"There is no space yet", "action=\"/spaces\"", "No page has been written yet"});
  const auto token = browser().field("/", "csrf");
  EXPECT_EQ(browser().post("/spaces", "name=Team&key=TEAM&csrf=stolen").status, 403);
  EXPECT_EQ(browser().post("/spaces", "name=Team&key=a+b&csrf=" + token).status, 400);
  EXPECT_EQ(browser().post("/spaces", "name=A+%26+B&key=TEAM&csrf=" + token).headers.get("Location"), "/spaces/TEAM");
  expect_words(shown("/spaces/TEAM"), {"A &amp; B", "Write the first page"});
  const auto taken = browser().post("/spaces", "name=Again&key=team&csrf=" + token);
  EXPECT_EQ(taken.status, 400);
  expect_words(*taken.body, {"value=\"Again\"", "value=\"team\"", " open>", "role=\"alert\""});
}

}  // namespace
}  // namespace afloat::test
