// One connection to a SQLite file, set up the way all of ours are: WAL, synchronous=FULL (a commit that returned
// survives a power cut), foreign keys enforced, a busy timeout. A thin wrapper over SQLiteCpp that throws nothing.
//
//   TRB_ASSIGN_OR_RETURN(auto db, Database::Open(path));
//   TRB_ASSIGN_OR_RETURN(auto transaction, Transaction::Begin(*db));
//   TRB_RETURN_IF_ERROR(db->Run("UPDATE t SET a = ?1 WHERE id = ?2", {5, "x"}));
//   return transaction->Commit();
//
// Threads: every method is safe from any thread; calls are serialised by one lock inside. A Transaction holds that lock
// from Begin to its end: other threads wait, its own thread goes on using the database. It ends on the thread that
// began it.
// Errors: DATA_LOSS      the file is damaged or no database; names the file and the way out
//         RESOURCE_EXHAUSTED  no room: disk full, over quota, read-only; the transaction is rolled back
//         UNKNOWN        the disk failed to read or write; likewise. A failed fsync ends the process
//                        (common/base/files.h, EndAfterFailedSync)
//         UNAVAILABLE    another process held its lock for longer than the busy timeout
//         NOT_FOUND, PERMISSION_DENIED  of the file
//         ALREADY_EXISTS a UNIQUE or PRIMARY KEY constraint;  FAILED_PRECONDITION any other constraint or a trigger
//         INTERNAL       a statement of ours that does not fit the schema
#ifndef TRIBUTARY_COMMON_STORAGE_DATABASE_H_
#define TRIBUTARY_COMMON_STORAGE_DATABASE_H_

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace SQLite {
class Statement;
}

namespace tributary::storage {

// Bytes bound as BLOB; strings are bound as TEXT.
struct Bytes {
  std::string_view view;
};

// One bound value. Borrows strings until the call returns.
class Arg {
 public:
  enum class Kind { kNull, kInteger, kReal, kText, kBlob, kTooLarge };

  Arg(std::nullptr_t) : kind_(Kind::kNull) {}    // NOLINT: implicit on purpose, as all below
  Arg(std::nullopt_t) : kind_(Kind::kNull) {}    // NOLINT
  Arg(bool v) : Arg(static_cast<int64_t>(v)) {}  // NOLINT
  template <std::integral T>
  Arg(T v) : kind_(Kind::kInteger), integer_(static_cast<int64_t>(v)) {  // NOLINT
    // SQLite's integers are signed: what does not fit is refused when it is bound, not wrapped.
    if (std::unsigned_integral<T> && static_cast<uint64_t>(v) > static_cast<uint64_t>(INT64_MAX))
      kind_ = Kind::kTooLarge;
  }
  Arg(double v) : kind_(Kind::kReal), real_(v) {}              // NOLINT
  Arg(std::string_view v) : kind_(Kind::kText), text_(v) {}    // NOLINT
  Arg(const std::string& v) : kind_(Kind::kText), text_(v) {}  // NOLINT
  Arg(const char* v) : kind_(Kind::kText), text_(v) {}         // NOLINT
  Arg(Bytes v) : kind_(Kind::kBlob), text_(v.view) {}          // NOLINT
  template <class T>
  Arg(const std::optional<T>& v) : Arg(v ? Arg(*v) : Arg(nullptr)) {}  // NOLINT: NULL when empty

  Kind kind() const { return kind_; }
  int64_t integer() const { return integer_; }
  double real() const { return real_; }
  std::string_view text() const { return text_; }

 private:
  Kind kind_;
  int64_t integer_ = 0;
  double real_ = 0;
  std::string_view text_;
};

// Bound to ?1, ?2, ... in order.
class Args {
 public:
  Args() = default;
  Args(std::initializer_list<Arg> args) : args_(args) {}  // NOLINT: implicit on purpose
  explicit Args(std::vector<Arg> args) : args_(std::move(args)) {}
  const std::vector<Arg>& list() const { return args_; }

 private:
  std::vector<Arg> args_;
};

// The current row of a query; columns count from 0. Valid inside the callback only. A column of another type is
// converted as SQLite does; our tables are STRICT, so that does not happen by accident.
class Row {
 public:
  explicit Row(SQLite::Statement* statement) : statement_(statement) {}

  int columns() const;
  std::string Name(int column) const;
  bool IsNull(int column) const;
  int64_t Int(int column) const;    // 0 when NULL
  uint64_t Uint(int column) const;  // a negative value is 0: ours never are
  double Real(int column) const;
  bool Bool(int column) const { return Int(column) != 0; }
  std::string Text(int column) const;  // also of BLOB; empty when NULL
  std::optional<int64_t> OptionalInt(int column) const;
  std::optional<uint64_t> OptionalUint(int column) const;
  std::optional<double> OptionalReal(int column) const;
  // INTEGER, REAL, TEXT, BLOB or NULL, and the value: for code that goes over whole rows.
  Arg::Kind Kind(int column) const;

 private:
  SQLite::Statement* statement_;
};

class Database {
 public:
  struct Options {
    bool read_only = false;  // makes nothing, changes nothing; works beside a running writer
    bool check = false;      // PRAGMA quick_check first: reads the whole file (about 1 s for 500 MB)
    int busy_timeout_ms = 5000;
    // What a person should do about a damaged file; part of the DATA_LOSS error.
    std::string way_out = "restore this file from a backup";
  };
  // Makes the file (0600) when absent, unless read_only (NOT_FOUND). ":memory:" is a database of its own.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, const Options& options);
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, bool read_only = false);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // One statement that returns no rows. The number of rows it changed. `name` is of its fail points, when it is a
  // transaction of its own: the function that calls.
  absl::StatusOr<int64_t> Change(std::string_view sql, const Args& args = {}, const char* name = __builtin_FUNCTION());
  // The same, for callers that do not care how many.
  absl::Status Run(std::string_view sql, const Args& args = {}, const char* name = __builtin_FUNCTION());
  // Any number of statements without parameters: schema.
  absl::Status RunScript(std::string_view sql);
  // Calls `each` for every row; its error ends the query and is returned. `each` may use the database.
  absl::Status Query(std::string_view sql, const Args& args, const std::function<absl::Status(const Row&)>& each);
  // Calls `row` for the first row, if there is one. Whether there was one.
  absl::StatusOr<bool> QueryOne(std::string_view sql, const Args& args, const std::function<void(const Row&)>& row);
  // First column of the first row. NOT_FOUND without a row.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql, const Args& args = {});
  absl::StatusOr<std::string> QueryText(std::string_view sql, const Args& args = {});
  int64_t LastInsertRowId() const;

  const std::string& path() const;
  bool read_only() const;

 private:
  friend class Transaction;
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// All or nothing. Rolled back by its destructor unless committed. One at a time on a database: Begin on a thread that
// is inside one already is FAILED_PRECONDITION.
class Transaction {
 public:
  enum class Kind {
    kWrite,  // BEGIN IMMEDIATE: no other writer from here on
    kRead,   // one unchanging view for several queries
  };
  static absl::StatusOr<std::unique_ptr<Transaction>> Begin(Database& database, Kind kind = Kind::kWrite);
  // As Begin for writing; inside a transaction of this thread it becomes a part of that one: its Commit makes nothing
  // durable, and when it ends without one, the whole cannot be committed any more (ABORTED).
  static absl::StatusOr<std::unique_ptr<Transaction>> BeginOrJoin(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Durable when it returns OK; after an error nothing of it happened. `name` is of its fail points.
  absl::Status Commit(const char* name = __builtin_FUNCTION());

 private:
  Transaction(Database& database, bool joined) : database_(database), joined_(joined) {}
  void End();
  Database& database_;
  const bool joined_;  // a part of another one, which holds the lock
  bool open_ = true;
};

}  // namespace tributary::storage

#endif  // TRIBUTARY_COMMON_STORAGE_DATABASE_H_
