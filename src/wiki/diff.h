#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "wiki/text_blocks.h"

/// What differs between two versions of a page: blocks of text are aligned, and words inside blocks that were changed.
/// Pure; thread-safe.
///
/// Time and memory are bounded: at most 20 million comparisons for a pair of bodies, whatever they are (0.2 s at the
/// worst; 1 ms for a page of 20 kB with some words changed). Beyond it nothing is refused: blocks between the common
/// beginning and the common end are shown as replaced whole, and so is a changed block whose words are too many
/// or too different.
namespace afloat::wiki {

struct ChangeSize {
  int added_words = 0;
  int removed_words = 0;
  bool operator==(const ChangeSize&) const = default;
};
/// How many words of `new_body` are not in `old_body`, and the reverse: what diff_bodies() marks. A word that was
/// replaced counts on both sides; changes of formatting alone count nothing. The same answer for the same bodies.
ChangeSize change_size(std::string_view old_body, std::string_view new_body);

enum class Mark { same, added, removed };
struct Piece {
  Mark mark = Mark::same;
  std::string text;
  bool operator==(const Piece&) const = default;
};
enum class Change { same, added, removed, changed, formatted };  ///< formatted: the same words, written otherwise
/// A pair of blocks side by side. `before` is empty for added, `after` for removed.
struct DiffRow {
  Change change = Change::same;
  BlockKind kind = BlockKind::paragraph;
  int level = 0;
  std::vector<Piece> before, after;
};
struct Diff {
  std::vector<DiffRow> rows;  ///< all blocks of both bodies in order
  ChangeSize size;
  bool whole = false;  ///< the bound was met: some was shown as replaced that could have been aligned
};
Diff diff_bodies(std::string_view old_body, std::string_view new_body);

}  // namespace afloat::wiki
