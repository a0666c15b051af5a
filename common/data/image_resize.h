// Scales an image: by area when neither side grows (each output pixel is the mean of what it covers), else bilinear
// with pixel centres at one half, as OpenCV's INTER_AREA and INTER_LINEAR mean it. Plain float arithmetic in a fixed
// order: the same bytes everywhere. Threads: pure.
#ifndef TRIBUTARY_COMMON_DATA_IMAGE_RESIZE_H_
#define TRIBUTARY_COMMON_DATA_IMAGE_RESIZE_H_

#include "common/data/image_codec.h"

namespace tributary::data {

// height and width > 0; the image is not empty.
Image Resize(Image image, size_t height, size_t width);

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_IMAGE_RESIZE_H_
