//! Pictures in a request, as [`usage_fields`](super::super::usage_fields) reads them.

use utoipa::ToSchema;

/// A picture: the bytes of its file, or its sides in pixels.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum Image {
    Measured(MeasuredImage),
    Sized(SizedImage),
}

/// A picture of which only the bytes are known. It counts the most that one can with its model.
#[derive(Debug, ToSchema)]
#[schema(as = ImageBytes)]
#[serde(deny_unknown_fields)]
pub struct MeasuredImage {
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub bytes: i64,
}

/// A picture whose sides are known.
#[derive(Debug, ToSchema)]
#[schema(as = ImagePixels)]
#[serde(deny_unknown_fields)]
pub struct SizedImage {
    #[schema(minimum = 1, maximum = 100_000)]
    pub width: i64,
    #[schema(minimum = 1, maximum = 100_000)]
    pub height: i64,
}
