#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// A page body as the blocks of text that a reader sees, in order: what two versions are compared by. Pure.
namespace afloat::wiki {

enum class BlockKind { paragraph, heading, list_item, table_row, code_line, macro };

struct TextBlock {
  BlockKind kind = BlockKind::paragraph;
  int level = 0;           ///< of a heading; depth of a list item, from 1
  std::string text;        ///< UTF-8, blanks collapsed except in code; cells of a row with " | " between them
  std::uint64_t form = 0;  ///< a mark of what is not text: emphasis, targets of links, and where they stand
  bool operator==(const TextBlock&) const = default;
};

/// A macro with a body is a block of its own ("[code language=sql]") before the blocks of its body; images and macros
/// without a body stand in the text in brackets. A body that does not parse gives its lines, tags cut out.
std::vector<TextBlock> text_blocks(std::string_view storage);

}  // namespace afloat::wiki
