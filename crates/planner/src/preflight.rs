//! One function a check, fixed order, all before the first write.
