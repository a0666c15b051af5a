#include "common/storage/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <map>
#include <mutex>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/fail_point.h"
#include "common/base/files.h"
#include "common/base/logging.h"

namespace tributary::storage {
namespace {

constexpr std::string_view kMemory = ":memory:";
constexpr int kAutoCheckpointPages = 1000;
constexpr int kMostTurns = 1000;  // of giving way to a thread that does not get to run

// SQLite's extended codes keep the primary code in their low byte.
int Primary(int code) { return code & 0xff; }

absl::StatusCode ConstraintCode(int extended) {
  const bool taken = extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
                     extended == SQLITE_CONSTRAINT_ROWID;
  return taken ? absl::StatusCode::kAlreadyExists : absl::StatusCode::kFailedPrecondition;
}

bool IsNoRoom(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG || error_number == EROFS;
}

// `error_number` is of the system's call that failed last, 0 without.
absl::StatusCode CodeFor(int extended, int error_number) {
  switch (Primary(extended)) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_IOERR:
      return IsNoRoom(error_number) ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kUnknown;
    case SQLITE_CANTOPEN:
      return IsNoRoom(error_number) ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kPermissionDenied;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CONSTRAINT:
      return ConstraintCode(extended);
    default:
      return absl::StatusCode::kInternal;
  }
}

bool IsFailedSync(int extended) { return extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC; }

absl::Status ToStatus(const SQLite::Exception& e, int error_number, const std::string& path,
                      const std::string& way_out) {
  const int code = e.getExtendedErrorCode() > 0 ? e.getExtendedErrorCode() : e.getErrorCode();
  if (IsFailedSync(code)) EndAfterFailedSync(absl::StrCat("fsync ", path, ": ", e.what()));
  switch (CodeFor(code, error_number)) {
    case absl::StatusCode::kDataLoss:
      return WithFix(absl::DataLossError(absl::StrCat(path, ": the database is damaged: ", e.what(), "; ", way_out)),
                     way_out);
    case absl::StatusCode::kResourceExhausted:
      return absl::ResourceExhaustedError(absl::StrCat(path, ": ", e.what(), "; free some space and try again"));
    case absl::StatusCode::kUnavailable:
      return absl::UnavailableError(absl::StrCat(path, ": in use by another process: ", e.what()));
    default:
      return absl::Status(CodeFor(code, error_number), absl::StrCat(path, ": ", e.what()));
  }
}

absl::Status BindOne(SQLite::Statement& statement, int index, const Arg& arg) {
  if (arg.text().size() > static_cast<size_t>(std::numeric_limits<int>::max()))
    return absl::InvalidArgumentError(absl::StrCat("value ", index, " is too long for the database"));
  const int size = static_cast<int>(arg.text().size());
  switch (arg.kind()) {
    case Arg::Kind::kNull:
      statement.bind(index);
      break;
    case Arg::Kind::kInteger:
      statement.bind(index, arg.integer());
      break;
    case Arg::Kind::kReal:
      statement.bind(index, arg.real());
      break;
    case Arg::Kind::kText:
      statement.bind(index, std::string(arg.text()));
      break;
    case Arg::Kind::kBlob:
      // A null pointer would bind NULL; an empty blob is not NULL.
      statement.bindNoCopy(index, size == 0 ? "" : static_cast<const void*>(arg.text().data()), size);
      break;
    case Arg::Kind::kTooLarge:
      return absl::OutOfRangeError(absl::StrCat("value ", index, " does not fit a 64-bit signed integer"));
  }
  return absl::OkStatus();
}

}  // namespace

int Row::columns() const { return statement_->getColumnCount(); }
std::string Row::Name(int column) const { return statement_->getColumnName(column); }
bool Row::IsNull(int column) const { return statement_->isColumnNull(column); }
int64_t Row::Int(int column) const { return statement_->getColumn(column).getInt64(); }
uint64_t Row::Uint(int column) const { return static_cast<uint64_t>(std::max<int64_t>(0, Int(column))); }
double Row::Real(int column) const { return statement_->getColumn(column).getDouble(); }
std::string Row::Text(int column) const { return statement_->getColumn(column).getString(); }

std::optional<int64_t> Row::OptionalInt(int column) const {
  return IsNull(column) ? std::nullopt : std::optional<int64_t>(Int(column));
}
std::optional<uint64_t> Row::OptionalUint(int column) const {
  return IsNull(column) ? std::nullopt : std::optional<uint64_t>(Uint(column));
}
std::optional<double> Row::OptionalReal(int column) const {
  return IsNull(column) ? std::nullopt : std::optional<double>(Real(column));
}

Arg::Kind Row::Kind(int column) const {
  switch (statement_->getColumn(column).getType()) {
    case SQLITE_INTEGER:
      return Arg::Kind::kInteger;
    case SQLITE_FLOAT:
      return Arg::Kind::kReal;
    case SQLITE_TEXT:
      return Arg::Kind::kText;
    case SQLITE_BLOB:
      return Arg::Kind::kBlob;
    default:
      return Arg::Kind::kNull;
  }
}

struct Database::Impl {
  std::string path;
  Options options;
  // Recursive: a Transaction holds it while its thread goes on calling the database.
  mutable std::recursive_mutex mu;
  mutable std::atomic<int> waiting = 0;     // threads that want it
  mutable std::atomic<uint64_t> taken = 0;  // how often it was taken
  // All below guarded by mu. Statements before the connection: they go first.
  std::unique_ptr<SQLite::Database> connection;
  std::map<std::string, std::vector<std::unique_ptr<SQLite::Statement>>, std::less<>> idle;
  bool in_transaction = false;
  bool part_failed = false;  // of the transaction: one that joined it ended without a commit

  using Lock = std::unique_lock<std::recursive_mutex>;
  Lock TakeLock() const {
    ++waiting;
    Lock lock(mu);
    --waiting;
    ++taken;
    return lock;
  }
  // The mutex is not fair: a thread with one transaction after another would have it each time, while others wait.
  void UnlockAndGiveWay() const {
    const uint64_t mine = taken;
    mu.unlock();
    for (int turns = 0; waiting > 0 && taken == mine && turns < kMostTurns; ++turns) std::this_thread::yield();
  }

  // Runs `work`, which may throw what SQLiteCpp throws. Everything else that could be thrown is a bug or no memory.
  template <class F>
  auto Guard(const F& work) const -> decltype(work()) {
    errno = 0;
    try {
      return work();
    } catch (const SQLite::Exception& e) {
      // The system's own reason. sqlite3_system_errno() does not have it when a commit failed.
      return ToStatus(e, errno, path, options.way_out);
    } catch (const std::exception& e) {
      return absl::InternalError(absl::StrCat(path, ": ", e.what()));
    }
  }

  std::unique_ptr<SQLite::Statement> Take(std::string_view sql) {
    if (const auto it = idle.find(sql); it != idle.end() && !it->second.empty()) {
      auto statement = std::move(it->second.back());
      it->second.pop_back();
      return statement;
    }
    return std::make_unique<SQLite::Statement>(*connection, std::string(sql));
  }

  void GiveBack(std::string_view sql, std::unique_ptr<SQLite::Statement> statement) {
    statement->tryReset();
    statement->clearBindings();
    auto it = idle.find(sql);
    if (it == idle.end()) it = idle.emplace(std::string(sql), 0).first;
    it->second.push_back(std::move(statement));
  }

  // Takes a statement (prepared once, kept for the next time), binds and runs it. A nested use of the same SQL gets a
  // statement of its own. After an error the statement is dropped.
  template <class F>
  absl::Status With(std::string_view sql, const Args& args, const F& work) {
    const Lock lock = TakeLock();
    return Guard([&]() -> absl::Status {
      auto statement = Take(sql);
      int index = 0;
      for (const Arg& arg : args.list()) TRB_RETURN_IF_ERROR(BindOne(*statement, ++index, arg));
      const absl::Status status = work(*statement);
      GiveBack(sql, std::move(statement));
      return status;
    });
  }
};

namespace {

absl::Status RequireThere(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) return absl::OkStatus();
  if (errno == ENOENT) return absl::NotFoundError(absl::StrCat(path, ": no such database"));
  return ErrnoToStatus(errno, absl::StrCat("open ", path));
}

// Private from its first byte: SQLite gives its -wal and -shm files the same mode.
absl::Status MakePrivateFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  close(fd);
  return absl::OkStatus();
}

// Moves what is in the log into the file, as far as no reader is in the way. SQLite's own automatic one says nothing
// when it fails: without room the log grows, until there is room again.
void Checkpoint(sqlite3* connection, const char* path) {
  if (!PassFailPoint("checkpoint", path).ok()) return;
  const int code = sqlite3_wal_checkpoint_v2(connection, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (IsFailedSync(code)) EndAfterFailedSync(absl::StrCat("fsync ", path, ": ", sqlite3_errmsg(connection)));
  if (code != SQLITE_OK && Primary(code) != SQLITE_BUSY && Primary(code) != SQLITE_LOCKED)
    Log(LogLevel::kWarning, "checkpoint_failed", {{"file", path}, {"why", sqlite3_errmsg(connection)}});
  PassFailPoint("checkpointed", path).IgnoreError();
}

// SQLite calls it after each commit, with the pages in the log.
int AfterCommit(void* path, sqlite3* connection, const char*, int pages) {
  if (pages >= kAutoCheckpointPages) Checkpoint(connection, static_cast<const char*>(path));
  return SQLITE_OK;
}

bool IsWrite(std::string_view sql) {
  const absl::string_view text(sql.data(), sql.size());
  return absl::StartsWith(text, "INSERT") || absl::StartsWith(text, "UPDATE") || absl::StartsWith(text, "DELETE");
}

// `path` outlives the connection.
void SetUp(SQLite::Database& connection, const std::string& path, const Database::Options& options) {
  connection.setBusyTimeout(options.busy_timeout_ms);
  sqlite3_extended_result_codes(connection.getHandle(), 1);
  connection.exec("PRAGMA foreign_keys=ON");
  connection.exec("PRAGMA trusted_schema=OFF");
  if (options.read_only) return;
  connection.exec("PRAGMA journal_mode=WAL");
  connection.exec("PRAGMA synchronous=FULL");
  sqlite3_wal_hook(connection.getHandle(), AfterCommit, const_cast<char*>(path.c_str()));
  Checkpoint(connection.getHandle(), path.c_str());  // what a crash left in the log
}

}  // namespace

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Database::~Database() {
  impl_->idle.clear();  // statements must be finalised before their connection
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, const Options& options) {
  if (path != kMemory) {
    if (options.read_only) TRB_RETURN_IF_ERROR(RequireThere(path));
    if (!options.read_only) TRB_RETURN_IF_ERROR(MakePrivateFile(path));
  }
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->options = options;
  TRB_RETURN_IF_ERROR(impl->Guard([&]() -> absl::Status {
    const int flags = options.read_only ? SQLite::OPEN_READONLY : SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE;
    impl->connection = std::make_unique<SQLite::Database>(path, flags, options.busy_timeout_ms);
    SetUp(*impl->connection, impl->path, options);
    impl->connection->execAndGet("SELECT count(*) FROM sqlite_schema");  // reads the header: a damaged file shows now
    if (!options.check) return absl::OkStatus();
    const std::string found = impl->connection->execAndGet("PRAGMA quick_check(1)").getString();
    if (found == "ok") return absl::OkStatus();
    return WithFix(absl::DataLossError(absl::StrCat(path, ": the database is damaged: ", found, "; ", options.way_out)),
                   options.way_out);
  }));
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, bool read_only) {
  Options options;
  options.read_only = read_only;
  return Open(path, options);
}

absl::StatusOr<int64_t> Database::Change(std::string_view sql, const Args& args, const char* name) {
  int64_t changed = 0;
  const absl::Status status = impl_->With(sql, args, [&](SQLite::Statement& statement) -> absl::Status {
    const bool commits = !impl_->in_transaction && IsWrite(sql);
    if (commits) TRB_FAIL_POINT("commit", name);
    while (statement.executeStep()) {
    }
    changed = impl_->connection->getChanges();
    if (commits) TRB_FAIL_POINT("committed", name);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return changed;
}

absl::Status Database::Run(std::string_view sql, const Args& args, const char* name) {
  return Change(sql, args, name).status();
}

absl::Status Database::RunScript(std::string_view sql) {
  const Impl::Lock lock = impl_->TakeLock();
  return impl_->Guard([&]() -> absl::Status {
    impl_->connection->exec(std::string(sql));
    return absl::OkStatus();
  });
}

absl::Status Database::Query(std::string_view sql, const Args& args,
                             const std::function<absl::Status(const Row&)>& each) {
  return impl_->With(sql, args, [&](SQLite::Statement& statement) -> absl::Status {
    while (statement.executeStep()) {
      if (absl::Status status = each(Row(&statement)); !status.ok()) return status;
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<bool> Database::QueryOne(std::string_view sql, const Args& args,
                                        const std::function<void(const Row&)>& row) {
  bool found = false;
  TRB_RETURN_IF_ERROR(impl_->With(sql, args, [&](SQLite::Statement& statement) {
    found = statement.executeStep();
    if (found) row(Row(&statement));
    return absl::OkStatus();
  }));
  return found;
}

absl::StatusOr<int64_t> Database::QueryInt(std::string_view sql, const Args& args) {
  int64_t value = 0;
  TRB_ASSIGN_OR_RETURN(const bool found, QueryOne(sql, args, [&](const Row& row) { value = row.Int(0); }));
  if (!found) return absl::NotFoundError(absl::StrCat(impl_->path, ": no row"));
  return value;
}

absl::StatusOr<std::string> Database::QueryText(std::string_view sql, const Args& args) {
  std::string value;
  TRB_ASSIGN_OR_RETURN(const bool found, QueryOne(sql, args, [&](const Row& row) { value = row.Text(0); }));
  if (!found) return absl::NotFoundError(absl::StrCat(impl_->path, ": no row"));
  return value;
}

int64_t Database::LastInsertRowId() const {
  const Impl::Lock lock = impl_->TakeLock();
  return impl_->connection->getLastInsertRowid();
}

const std::string& Database::path() const { return impl_->path; }
bool Database::read_only() const { return impl_->options.read_only; }

absl::StatusOr<std::unique_ptr<Transaction>> Transaction::Begin(Database& database, Kind kind) {
  auto& impl = *database.impl_;
  Database::Impl::Lock lock = impl.TakeLock();
  if (impl.in_transaction) return absl::FailedPreconditionError("this thread is inside a transaction already");
  TRB_RETURN_IF_ERROR(database.Run(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  impl.in_transaction = true;
  impl.part_failed = false;
  lock.release();  // held until End()
  return std::unique_ptr<Transaction>(new Transaction(database, /*joined=*/false));
}

absl::StatusOr<std::unique_ptr<Transaction>> Transaction::BeginOrJoin(Database& database) {
  {
    const Database::Impl::Lock lock = database.impl_->TakeLock();
    if (database.impl_->in_transaction) return std::unique_ptr<Transaction>(new Transaction(database, /*joined=*/true));
  }
  return Begin(database);
}

void Transaction::End() {
  open_ = false;
  database_.impl_->in_transaction = false;
  database_.impl_->UnlockAndGiveWay();
}

absl::Status Transaction::Commit(const char* name) {
  if (!open_) return absl::FailedPreconditionError("the transaction has ended already");
  if (joined_) {
    open_ = false;
    return absl::OkStatus();
  }
  if (database_.impl_->part_failed) return absl::AbortedError("a part of the transaction failed");
  TRB_FAIL_POINT("commit", name);  // the destructor rolls back
  if (absl::Status status = database_.Run("COMMIT"); !status.ok()) {
    database_.Run("ROLLBACK").IgnoreError();  // a full disk has rolled back already: nothing to do then
    End();
    return status;
  }
  End();
  TRB_FAIL_POINT("committed", name);
  return absl::OkStatus();
}

Transaction::~Transaction() {
  if (!open_) return;
  if (joined_) {
    database_.impl_->part_failed = true;
    return;
  }
  database_.Run("ROLLBACK").IgnoreError();
  End();
}

}  // namespace tributary::storage
