//! What the API's errors mean: their kind, and whether a creating call that failed can have created something.
//!
//! Codes of EC2: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>.

use crate::Place;
use aws_smithy_runtime_api::{
    client::{orchestrator::HttpResponse, result::SdkError},
    http::StatusCode,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use image_core::{CreateError, Error, ErrorKind};
use std::error::Error as StdError;

/// An error of any call, with the call, the place and the request in its context.
pub(crate) fn sdk_error<E>(operation: &'static str, place: &Place, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let request = error.request_id().map(str::to_owned);
    let mapped = match &error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("without a code");
            let message = service.err().message().unwrap_or("without a message");
            Error::new(kind(code, service.raw().status()), format!("{code}: {message}"))
        }
        SdkError::ConstructionFailure(_) => construction(&error),
        SdkError::TimeoutError(_) => Error::new(ErrorKind::TimedOut, "no reply in time"),
        SdkError::DispatchFailure(_) => Error::new(ErrorKind::Unavailable, "the endpoint cannot be reached"),
        _ => Error::new(ErrorKind::Unavailable, "the reply cannot be read"),
    };
    let mut mapped = mapped.with_operation(operation).with_context("place", place);
    if let Some(id) = request {
        mapped = mapped.with_context("request", id);
    }
    mapped.with_source(error)
}

/// The call was not even made: no credentials, or a request that the SDK refuses to build.
fn construction<E: StdError + Send + Sync + 'static>(error: &SdkError<E, HttpResponse>) -> Error {
    let story = aws_smithy_types::error::display::DisplayErrorContext(error).to_string();
    if story.contains("redentials") {
        return Error::new(ErrorKind::Unauthenticated, "no credentials could be had");
    }
    Error::bug("the request cannot be built")
}

/// How a creating call failed. Only a service that answered with a refusal has certainly created nothing; and that holds
/// only for a client that makes the call once.
pub(crate) fn create_error<E>(operation: &'static str, place: &Place, error: SdkError<E, HttpResponse>) -> CreateError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let certain = is_refusal(&error);
    let error = sdk_error(operation, place, error);
    if certain { CreateError::Rejected(error) } else { CreateError::Unclear(error) }
}

/// Whether the service certainly did nothing.
pub(crate) fn is_refusal<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ServiceError(service) => refused(service.err().code(), service.raw().status()),
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    }
}

/// A 4xx is a refusal and a 5xx says nothing, but that throttled calls are turned away at the door, and a lack of capacity
/// is found before anything is made; EC2 answers both with 500 and 503.
fn refused(code: Option<&str>, status: StatusCode) -> bool {
    let known = |code| matches!(kind(code, status), ErrorKind::QuotaExceeded | ErrorKind::RateLimited);
    status.is_client_error() || code.is_some_and(known)
}

/// The kind of an error, by its code; the status decides where the code is not known.
fn kind(code: &str, status: StatusCode) -> ErrorKind {
    use ErrorKind::*;
    const THROTTLED: [&str; 11] = [
        "BandwidthLimitExceeded",
        "ConcurrentLimitExceededException",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    ];
    const DENIED: [&str; 7] = [
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "Blocked",
        "KMSAccessDeniedException",
        "OptInRequired",
        "UnauthorizedOperation",
    ];
    const UNKNOWN_IDENTITY: [&str; 10] = [
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    ];
    const CAPACITY: [&str; 5] = [
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
    ];
    const BUSY: [&str; 6] = [
        "IncorrectInstanceState",
        "IncorrectState",
        "InvalidSnapshot.InUse",
        "ResourceCountExceeded",
        "ResourceInUse",
        "VolumeInUse",
    ];
    match code {
        _ if THROTTLED.contains(&code) => RateLimited,
        _ if DENIED.contains(&code) => PermissionDenied,
        _ if UNKNOWN_IDENTITY.contains(&code) => Unauthenticated,
        "Unsupported" => Unsupported,
        _ if CAPACITY.contains(&code) || code.ends_with("LimitExceeded") || code.ends_with("QuotaExceeded") => {
            QuotaExceeded
        }
        "ServiceQuotaExceededException" => QuotaExceeded,
        "ConflictException"
        | "IdempotentParameterMismatch"
        | "IdempotentInstanceTerminated"
        | "DependencyViolation" => Conflict,
        _ if BUSY.contains(&code) || code.ends_with(".InUse") => Conflict,
        _ if code.contains("Duplicate") || code.ends_with("AlreadyExists") => AlreadyExists,
        _ if code.ends_with("NotFound") || code.ends_with("NotFoundException") => NotFound,
        "InvalidAMIID.Unavailable" | "ParameterNotFound" | "ParameterVersionNotFound" => NotFound,
        "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable" | "InternalServerError" => {
            Unavailable
        }
        _ if code.starts_with("Invalid") || code.starts_with("Missing") || code.starts_with("Malformed") => {
            InvalidInput
        }
        "UnknownParameter" | "UnsupportedOperation" | "ValidationError" | "ValidationException" => InvalidInput,
        _ if status.is_server_error() => Unavailable,
        _ if matches!(status.as_u16(), 401 | 403) => PermissionDenied,
        _ if status.as_u16() == 404 => NotFound,
        _ if status.as_u16() == 429 => RateLimited,
        _ => InvalidInput,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(code: &str, status: u16) -> ErrorKind {
        kind(code, StatusCode::try_from(status).unwrap())
    }

    #[test]
    fn codes_have_kinds() {
        use ErrorKind::*;
        for (code, status, expected) in [
            ("RequestLimitExceeded", 503, RateLimited),
            ("ThrottlingException", 400, RateLimited),
            ("UnauthorizedOperation", 403, PermissionDenied),
            ("OptInRequired", 401, PermissionDenied),
            ("AuthFailure", 401, Unauthenticated),
            ("ExpiredToken", 400, Unauthenticated),
            ("InsufficientInstanceCapacity", 500, QuotaExceeded),
            ("VcpuLimitExceeded", 400, QuotaExceeded),
            ("Unsupported", 400, Unsupported),
            ("InvalidAMIID.NotFound", 400, NotFound),
            ("InvalidAMIID.Unavailable", 400, NotFound),
            ("InvalidAMIID.Malformed", 400, InvalidInput),
            ("InvalidAMIName.Duplicate", 400, AlreadyExists),
            ("InvalidSnapshot.InUse", 400, Conflict),
            ("IncorrectInstanceState", 400, Conflict),
            ("IdempotentParameterMismatch", 400, Conflict),
            ("InvalidParameterValue", 400, InvalidInput),
            ("InternalError", 500, Unavailable),
            ("ServiceQuotaExceededException", 402, QuotaExceeded),
            ("ConcurrentLimitExceededException", 503, RateLimited),
            ("ConflictException", 503, Conflict),
            ("SomethingNew", 500, Unavailable),
            ("SomethingNew", 429, RateLimited),
            ("SomethingNew", 403, PermissionDenied),
        ] {
            assert_eq!(kind_of(code, status), expected, "{code}");
        }
    }

    #[test]
    fn only_a_refusal_proves_that_nothing_was_created() {
        for (code, status, expected) in [
            (Some("UnauthorizedOperation"), 403, true),
            (Some("InvalidAMIName.Duplicate"), 400, true),
            (Some("RequestLimitExceeded"), 503, true),
            (Some("InsufficientInstanceCapacity"), 500, true),
            (Some("InternalError"), 500, false),
            (Some("ServiceUnavailable"), 503, false),
            (None, 502, false),
        ] {
            assert_eq!(refused(code, StatusCode::try_from(status).unwrap()), expected, "{code:?} {status}");
        }
    }
}
