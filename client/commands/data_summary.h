// What a data owner is shown of the own data: on `join` before anything is sent, and by `doctor`.
#ifndef TRIBUTARY_CLIENT_COMMANDS_DATA_SUMMARY_H_
#define TRIBUTARY_CLIENT_COMMANDS_DATA_SUMMARY_H_

#include <string>

#include "client/session/client_settings.h"
#include "client/session/data_holder.h"

namespace tributary::commands {

// Several lines, each ending in a newline: path, count, shape, examples of each class, what cleaning found.
std::string DataSummary(const session::ClientSettings& settings, const session::DataHolder& data);

}  // namespace tributary::commands

#endif  // TRIBUTARY_CLIENT_COMMANDS_DATA_SUMMARY_H_
