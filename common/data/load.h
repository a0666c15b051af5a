// One way in for all data: a path becomes a Dataset and a report of what was found and what was left out.
//
//   idx        FOLDER or FILE: MNIST's format, plain or .gz. A folder may hold a training pair
//   (train-images-idx3-ubyte,
//              train-images.idx3-ubyte), a test pair (t10k-...), or one pair (images-idx3-ubyte). A FILE is the images
//              file; its labels lie beside it.
//   images     FOLDER of .png, .jpg, .jpeg: class by sub-folder, or by file-name prefix (cat.12.png is a cat).
//   csv        FILE: a row an example, one column the label. A folder may hold train.csv and test.csv.
//   npz        FILE: arrays x and y (or x_train, y_train, x_test, y_test).
//   synthetic  no file: "synthetic", "synthetic:COUNT", "synthetic:COUNT:SEED": digits drawn by us (synthetic.h).
//
// Cleaning. What is wrong with *one example* (it does not decode, it is too large, its label is out of range) is
// counted and left out, or refuses the whole load with Policy::kRefuse. What is wrong with *the file* (bad magic,
// short, ragged rows, images of another size than asked for) always refuses, with file and offset or line. A class name
// that is not in `classes` refuses unless `unknown_classes` says otherwise: leaving a class out silently would train
// another model than the run describes. Exact duplicates (of images in a folder: the same file again; else the same
// values; whatever the labels) are counted and kept unless `duplicates` says otherwise: in small data sets they are
// ordinary, and leaving them out would change example counts behind the owner's back. kSkip keeps the first of them.
//
// Order is canonical: IDX, CSV and NPZ as stored; folders a permutation seeded by the sorted names.
// Threads: all functions are safe from any thread. Nothing is kept open. Hostile files are expected: sizes are checked
// before memory is taken.
#ifndef TRIBUTARY_COMMON_DATA_LOAD_H_
#define TRIBUTARY_COMMON_DATA_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/data/dataset.h"

namespace tributary::data {

enum class Format { kGuess, kIdx, kImages, kCsv, kNpz, kSynthetic };
// "idx" | "images" | "csv" | "npz" | "synthetic"; empty: kGuess. INVALID_ARGUMENT lists the known names.
absl::StatusOr<Format> ParseFormat(std::string_view name);
std::string_view FormatName(Format format);
// What kGuess takes the path for, by what is there and what it is called. NOT_FOUND: nothing is there.
// INVALID_ARGUMENT: its name does not tell.
absl::StatusOr<Format> GuessFormat(const std::string& path);

enum class Split { kTrain, kTest };  // which of two, where both are present; the one that is there otherwise
enum class Policy { kSkip, kRefuse };
enum class Duplicates { kKeep, kSkip, kRefuse };

struct LoadOptions {
  Format format = Format::kGuess;
  Split split = Split::kTrain;
  // The shape that the model wants. 0: what the data have (folders: the first image's size and 1 channel if it is gray,
  // else 3). Folders of images are resized to it; rows of as many numbers are taken as images of that shape.
  size_t height = 0, width = 0, channels = 0;
  // The run's class list: names map to their place in it. Empty: integer labels stay, names get their place in the
  // sorted list of the names found.
  std::vector<std::string> classes = {};
  size_t num_classes = 0;         // labels must be below it (0: no check); with `classes` their count is used
  std::string label_column = {};  // CSV: name or index (0-based, negative from the end); empty: "label", "class", "y",
                                  // "target" where the header has one, else the last
  bool regression = false;        // labels are float targets
  Policy policy = Policy::kSkip;
  Policy unknown_classes = Policy::kRefuse;
  Duplicates duplicates = Duplicates::kKeep;
  uint64_t max_bytes = uint64_t{8} << 30;  // of memory for the examples; also bounds what a .gz or a zip may grow to
};

// What was found. `*_names` hold the first few offenders (at most kMaxNamed), as FILE, FILE:LINE or FILE[INDEX].
struct Report {
  static constexpr size_t kMaxNamed = 5;
  struct Kind {
    uint64_t count = 0;
    std::vector<std::string> names;
    void Add(std::string name);
  };
  uint64_t found = 0, kept = 0;
  Kind undecodable, wrong_size, label_out_of_range, duplicates, unknown_classes;
  bool duplicates_kept = true;                   // they are counted in `kept`
  std::vector<std::string> unknown_class_names;  // distinct, sorted, at most kMaxNamed
  std::vector<uint64_t> per_class;               // kept examples by label; empty for regression
  std::vector<std::string> warnings;             // e.g. one class only; the tail lacks classes that the head has

  bool clean() const;
  // Lines for `join` and `doctor`, without a trailing newline: "6000 of 6003 examples kept", then a line a kind.
  std::vector<std::string> Lines() const;
};

struct LoadResult {
  Dataset dataset;
  Report report;
  Format format = Format::kGuess;  // what it was taken for
};

// NOT_FOUND, PERMISSION_DENIED: the path. INVALID_ARGUMENT: the data are not what they should be, with the place; also
// when no example is left. RESOURCE_EXHAUSTED: over max_bytes.
absl::StatusOr<LoadResult> LoadData(const std::string& path, const LoadOptions& options);

// Gives `data` the class list of a run: labels are moved by name from data->classes (loaded without a list) to their
// place in `classes`. Integer labels keep their number and get the names. INVALID_ARGUMENT, with `data` unchanged,
// names the classes that the list does not have.
absl::Status MapClasses(const std::vector<std::string>& classes, Dataset* data);

// One PNG or JPEG as a one-example Dataset without a label (labels = {0}), for `model predict`. height, width,
// channels: the model's input; 0 keeps the file's own.
absl::StatusOr<Dataset> DecodeImageFile(const std::string& path, size_t height, size_t width, size_t channels);

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_LOAD_H_
