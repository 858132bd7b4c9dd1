//! Compose pipelines that build, verify, test, scan, approve and distribute golden machine images.
