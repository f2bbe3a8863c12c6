#pragma once
#include <string_view>

#include "store/page_store.h"

/// Shared by the .cc files of pages: the columns of a PageSummary and how to read them.
namespace afloat::store {

inline constexpr std::string_view page_columns =
    " p.id, p.space_id, s.key, s.name, s.homepage_id, p.parent_id, p.position, p.title, p.version, p.status,"
    " cu.name, cu.full_name, (extract(epoch from p.created_at) * 1000)::bigint,"
    " uu.name, uu.full_name, (extract(epoch from p.updated_at) * 1000)::bigint ";
inline constexpr int page_column_count = 16;
inline constexpr std::string_view page_tables =
    " page p join space s on s.id = p.space_id"
    " left join app_user cu on cu.id = p.created_by left join app_user uu on uu.id = p.updated_by ";

PageSummary page_summary(const Rows& rows, std::size_t row);
std::vector<PageSummary> page_summaries(const Rows& rows);
UserName user_name(const Rows& rows, std::size_t row, std::size_t name_column);
std::optional<std::int64_t> optional_number(const Rows& rows, std::size_t row, std::size_t column);
/// "{1,2,3}" for a bigint[] parameter.
std::string id_array(const std::vector<std::int64_t>& ids);
/// For a text[] parameter.
std::string text_array(const std::vector<std::string>& texts);
/// `text` cut to at most `bytes`, between characters.
std::string_view cut_utf8(std::string_view text, std::size_t bytes);
Error no_such_page(std::int64_t id);

}  // namespace afloat::store
