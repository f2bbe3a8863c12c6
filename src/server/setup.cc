#include "server/setup.h"

#include <array>

#include "store/space_store.h"
#include "store/user_store.h"

namespace afloat::server {
namespace {

constexpr std::string_view welcome =
    "<p>This space shows how pages are written and found here. Change whatever you like; each version of a page is "
    "kept, and <em>History</em> leads back to it.</p>"
    "<h2>Where to begin</h2>"
    "<ul>"
    "<li><ac:link><ri:page ri:content-title=\"Write a page\"/></ac:link>: text, links, tables, code</li>"
    "<li><ac:link><ri:page ri:content-title=\"Find things\"/></ac:link>: words as they are typed, phrases, labels</li>"
    "<li><ac:link><ri:page ri:content-title=\"Bring your pages along\"/></ac:link>: import what you have</li>"
    "<li><ac:link><ri:page ri:content-title=\"Before the first upgrade\"/></ac:link>: for administrators</li>"
    "</ul>";

struct SamplePage {
  std::string_view title, body;
};
constexpr auto pages = std::to_array<SamplePage>({
    {"Write a page",
     "<p><em>Edit</em> opens a page, <em>New page below</em> makes one beneath it. A page is XHTML, in the storage "
     "format that Confluence has: what was written for it can be pasted here.</p>"
     "<h2>A link to another page</h2>"
     "<p><ac:link><ri:page ri:content-title=\"Find things\"/></ac:link> is written so:</p>"
     "<ac:structured-macro ac:name=\"code\"><ac:plain-text-body><![CDATA[<ac:link><ri:page ri:content-title=\"Find things\"/></ac:link>]]></ac:plain-text-body></ac:structured-macro>"
     "<p>A link to a page that is not there yet offers to write it.</p>"
     "<h2>A table</h2>"
     "<table><tbody><tr><th>You write</th><th>You see</th></tr>"
     "<tr><td><code>&lt;strong&gt;now&lt;/strong&gt;</code></td><td><strong>now</strong></td></tr>"
     "<tr><td><code>&lt;code&gt;pg_hba.conf&lt;/code&gt;</code></td><td><code>pg_hba.conf</code></td></tr>"
     "</tbody></table>"
     "<ac:structured-macro ac:name=\"info\"><ac:rich-text-body><p>When two people change a page at once, the second one "
     "is shown both texts. Nothing is overwritten.</p></ac:rich-text-body></ac:structured-macro>"},
    {"Find things",
     "<p>The field at the top searches titles and texts of all spaces.</p>"
     "<table><tbody><tr><th>Type</th><th>Finds</th></tr>"
     "<tr><td><code>vacuum tables</code></td><td>pages with both words, in any form</td></tr>"
     "<tr><td><code>\"to be or not to be\"</code></td><td>exactly these words in this order</td></tr>"
     "<tr><td><code>max_conn*</code></td><td>what begins so</td></tr>"
     "<tr><td><code>backup -tape</code></td><td>the one without the other</td></tr>"
     "</tbody></table>"},
    {"Bring your pages along",
     "<p>A folder of HTML files becomes a space with its links, pictures and tree, on the command line: "
     "<code>afloat import --help</code>. The REST API takes pages one by one, as Confluence's does: "
     "<code>POST /rest/api/content</code>.</p>"},
    {"Before the first upgrade",
     "<p>A site of two nodes or more is upgraded while people work.</p>"
     "<ul>"
     "<li><code>afloat check</code> tells what would stand in the way, today.</li>"
     "<li><code>afloat releases fetch</code> gets a release, and makes sure of who made it.</li>"
     "<li><code>afloat upgrade plan --to VERSION</code> shows each step and how long it takes; nothing changes.</li>"
     "<li><em>Administration</em>, at the top, leads to <em>Rolling upgrades</em>.</li>"
     "</ul>"},
});

}  // namespace

Task<bool> is_set_up(Context& context, Deadline deadline) {
  if (context.set_up) co_return true;
  auto anyone = co_await store::list_users(context.database, 0, 1, deadline);
  if (!anyone) co_return std::unexpected(anyone.error());
  context.set_up = !anyone->empty();
  co_return context.set_up;
}

Task<void> make_sample_space(Context& context, std::int64_t author, Deadline deadline) {
  store::NewSpace space;
  space.key = "WELCOME";
  space.name = "Welcome";
  space.description = "How pages are written and found here.";
  space.homepage_title = "Welcome";
  space.homepage_body = welcome;
  space.author = author;
  auto made = co_await with_gates<store::Space>(context, deadline, [&](Gates gates) {
    return store::create_space(context.database, gates, space, deadline);
  });
  if (!made) co_return std::unexpected(made.error());
  std::vector<store::NewPage> sample;
  for (const auto& [title, body] : pages) {
    auto& page = sample.emplace_back();
    page.space_key = space.key;
    page.title = title;
    page.body = body;
    page.author = author;
  }
  auto written = co_await with_gates<std::vector<store::SavedPage>>(context, deadline, [&](Gates gates) {
    return store::create_pages(context.database, gates, sample, deadline);
  });
  if (!written) co_return std::unexpected(written.error());
  co_return Result<void>{};
}

}  // namespace afloat::server
