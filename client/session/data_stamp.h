// What the files of a data set look like from outside: their names, sizes and times. Equal stamps: nobody changed them
// (the change time of the file system cannot be set by hand). Reads no content.
// Threads: a function of the disk alone.
#ifndef TRIBUTARY_CLIENT_SESSION_DATA_STAMP_H_
#define TRIBUTARY_CLIENT_SESSION_DATA_STAMP_H_

#include <string>

namespace tributary::session {

// Of a file (with the labels that lie beside an IDX file), or of all files of a folder and the folders in it. What is
// not there, or is no file at all ("synthetic:100"), has a stamp too: always the same.
std::string DataStamp(const std::string& path);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_DATA_STAMP_H_
