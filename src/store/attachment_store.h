#pragma once
#include "store/page_store.h"

/// Rows of attachments; the bytes are in the BlobStore under their digest, and put there first.
namespace afloat::store {

struct Attachment {
  std::int64_t id = 0;
  std::int64_t page_id = 0;
  std::string space_key;
  std::string file_name;
  int version = 0;
  std::string digest;
  std::int64_t size = 0;
  std::string media_type;
  std::string comment;
  UserName author;
  std::int64_t created_at_ms = 0;  ///< of this version
};
struct UploadedFile {
  std::int64_t page_id = 0;
  std::string file_name;
  std::string digest;  ///< already stored in the BlobStore
  std::int64_t size = 0;
  std::string media_type;
  std::string comment;
  std::int64_t author = 0;
};
enum class UploadMode {
  create,            ///< an existing name is refused
  create_or_update,  ///< an existing name gets a new version
};

/// By file name; `file_name` "" = all.
Task<std::vector<Attachment>> list_attachments(Database& database, std::int64_t page_id, std::string file_name,
                                               int start, int limit, Deadline deadline);
/// Errors: not_found.
Task<Attachment> read_attachment(Database& database, std::int64_t id, Deadline deadline);
/// `version` 0 = newest. Errors: not_found.
Task<Attachment> find_attachment(Database& database, std::int64_t page_id, std::string file_name, int version,
                                 Deadline deadline);
/// Errors: not_found (page), invalid_argument (name taken in mode create).
Task<Attachment> upload_attachment(Database& database, Gates gates, UploadedFile file, UploadMode mode,
                                   Deadline deadline);
/// Several at once, created or given a new version; for imports. The pages exist.
Task<void> upload_attachments(Database& database, Gates gates, std::vector<UploadedFile> files, Deadline deadline);
/// A new version of the attachment with this id; its name stays. Errors: not_found.
Task<Attachment> replace_attachment(Database& database, Gates gates, std::int64_t id, UploadedFile file,
                                    Deadline deadline);
/// To the trash. Errors: not_found.
Task<void> trash_attachment(Database& database, Gates gates, std::int64_t id, Deadline deadline);

}  // namespace afloat::store
