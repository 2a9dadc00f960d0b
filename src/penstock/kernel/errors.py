"""The error tree: one root, stable codes, a status for the wire.

::

    PenstockError                     500  internal_error
    ├── SettingsError                 500  settings_invalid
    ├── RequestError                  400  invalid_request
    │   ├── MalformedRequest          400  malformed_request
    │   ├── NotExpressible            400  not_expressible
    │   ├── BodyTooLarge              413  body_too_large
    │   ├── NotFound                  404  not_found
    │   │   └── UnknownModel          404  model_not_found
    │   ├── MethodNotAllowed          405  method_not_allowed
    │   └── Conflict                  409  conflict
    ├── Unauthenticated               401  invalid_api_key
    ├── Forbidden                     403  permission_denied
    │   └── NotApproved               403  model_not_approved
    ├── LimitExceeded                 429  rate_limit_exceeded
    │   └── BudgetExceeded            429  insufficient_quota
    ├── Unavailable                   503  unavailable
    │   ├── Overloaded                503  overloaded
    │   ├── Draining                  503  draining
    │   ├── CircuitOpen               503  circuit_open
    │   ├── StorageError              503  storage_unavailable
    │   │   ├── StorageFull           503  storage_full
    │   │   └── SchemaMismatch        503  schema_mismatch
    │   └── JournalUnavailable        503  journal_unavailable
    │       ├── JournalNotInstalled   503  journal_not_installed
    │       └── JournalInUse          503  journal_in_use
    ├── StepFailed                    500  step_failed
    ├── DeadlineExceeded              504  deadline_exceeded
    ├── UpstreamError                 502  upstream_error
    │   ├── UpstreamUnreachable       502  upstream_unreachable
    │   │   └── ProviderCredentials   502  provider_credentials
    │   ├── UpstreamReset             502  upstream_reset
    │   ├── UpstreamMalformed         502  upstream_malformed
    │   └── UpstreamRefused           4xx, 502 to 504  upstream_refused
    └── CallCancelled                 499  call_cancelled

A code never changes its meaning once released; programs may branch on it. A message says what was wrong, where, and what to do;
it never contains a credential. How an error looks on the wire is the affair of the API that was called: each wire shape renders it.

What one class tells apart has a code of its own::

    missing_api_key             401  Unauthenticated   the request carries no key
    revoked_api_key             401  Unauthenticated   the key was revoked
    expired_api_key             401  Unauthenticated   the key has expired, or its secret was replaced by a rotation
    cross_site_request          403  Forbidden         a signed-in browser was sent here by another site's page
    model_not_priced            403  Forbidden         no price is known and finops.unpriced is 'refuse'
    model_not_registered        403  NotApproved       the registry does not have the model, and registry.default wants that
    model_revoked               403  NotApproved       the model was revoked
    same_person                 403  Forbidden         who made or changed a version may not approve it, or put a prompt into production
    prompt_not_found            404  NotFound          no stored prompt has this id or name, or no version of it this number or label
    prompt_revoked              403  Forbidden         the version of the prompt was revoked
    prompt_variable_invalid     400  RequestError      a variable of a prompt is missing, unknown, or not of its type
    self_approval               403  Forbidden         who began a run, or has it work for them, may not approve what it does
    person_needed               403  Forbidden         this needs a person, and the key belongs to none
    not_asked                   403  Forbidden         the request goes to others, or is another organisation's
    request_over                409  Conflict          the request is decided, expired or closed, or was answered by the same person
    request_expired             409  Conflict          nobody answered the request in time
    approval_void               409  Conflict          what was looked at is not what is asked for any more
    policy_changed              409  Conflict          somebody else changed the policy; look at it and ask again
    place_not_allowed           403  NotApproved       the task's data may not go where the model stands
    no_candidate_allowed        403  NotApproved       none of the task's candidates may do the call; the message says why of each
    no_candidate_fits           400  RequestError      no candidate takes what the request brings: its length, content, tools or deadline
    task_invalid                400  RequestError      a task's declaration is wrong; the message says where and what to do
    task_in_settings            409  Conflict          the settings declare a task of this name, so it is changed there
    budget_of_task              409  Conflict          a task declares this budget, so it is changed there
    task_changed                409  Conflict          somebody else changed the task; look at it and ask again
    run_paused                  409  Conflict          the run was paused, so nothing more is told of it until it is resumed
    origin_not_allowed          403  Forbidden         a web page of an origin that interop.origins does not name asked
    not_acceptable              406  RequestError      the client takes neither JSON nor events
    wrong_state                 409  Conflict          the version is not at the step before the one that was asked for
    no_floor                    409  Conflict          the task states no floor, so there is nothing to certify or to draw
    being_fitted                409  Conflict          a policy of the task is being fitted already
    not_active                  409  Conflict          the policy is not active, so nothing can be suspended or replayed
    limit_reached               500  PenstockError     nothing is left of a limit of a run, which ends with that
    not_durable_here            500  PenstockError     a durable call outside of a workflow, in a step, or beside another one
    version_revoked             409  Conflict          the version is revoked, for good
    target_taken                409  Conflict          another live version has this name
    weights_changed             409  Conflict          the weights are not those that were scanned, so nothing is signed or approved
    scan_refused                409  Conflict          the weights must not be loaded; the version's scan says why
    signature_invalid           409  Conflict          the signature is missing, of no trusted key, or not of these files
    too_few_labels              409  Conflict          people judged too few of the task's replies for limits of groundedness
    dataset_refused             400  RequestError      items of a dataset are not in order, and nothing was stored; the message names lines
    inspect_log_refused         400  RequestError      a file is no log of Inspect AI that can be read, or several do not belong together
    quality_extra_missing       503  Unavailable       a package of the extra 'quality' is not installed
    signing_extra_missing       503  Unavailable       the extra 'signing' is not installed
    unknown_url                 404  NotFound          nothing answers at this path
    recording_miss              404  UnknownModel      the recording holds no reply to this request
    events_expired              400  RequestError      a background response has no events any more; ask without starting_after
    memory_full                 409  Conflict          a person, team or agent has as many memories as it may (agents.memory.most_records)
    previous_response_not_found  400  NotFound         the response to follow, or one before it, is not stored any more
    encoding_not_taken          415  RequestError      spans came in an encoding that is not understood here, or needs the extra 'otlp'
    media_type_not_taken        415  RequestError      spans came neither as protobuf nor as JSON
    file_quota_exceeded         403  Forbidden         the organisation's files have no more room (files.max_organisation_*)
    client_secrets_not_served   501  RequestError      no secrets for browsers are made here; make a key with an end instead
    upgrade_required            426  RequestError      the path is a WebSocket, and the request asked for none
    session_expired             429  LimitExceeded     a realtime session has lasted for gateway.realtime.session_seconds; told as an event
    session_idle                429  LimitExceeded     nobody said anything in it for gateway.realtime.idle_seconds; told as an event
    body_timeout                408  DeadlineExceeded  the body did not arrive within gateway.body_seconds
    concurrency_limit_exceeded  429  LimitExceeded     the key has as many calls in flight as it may have
    token_limit_exceeded        429  LimitExceeded     the key has used its tokens of this minute
    too_many_sign_ins           429  LimitExceeded     too many wrong keys at the console's door, from this address or from all
    local_model_unavailable     503  Unavailable       the local embedding model cannot be used
    local_extra_missing         503  Unavailable       a package of the extra 'local' is not installed
    local_model_missing         503  Unavailable       the package with the model's weights is not installed
    local_model_altered         503  Unavailable       a file of the model is not the one that was approved
    detector_unavailable        503  Unavailable       a groundedness detector cannot be loaded: files missing, or refused by the scan
    local_model_export_failed   503  Unavailable       the model could not be written down, or what lies there is damaged
    hedge_lost                  499  CallCancelled     an attempt was dropped because a second one of the same call was sooner
    demo_api_fault              500  PenstockError     `penstock demo` got another answer than it asked for

What is wrong with a batch stands in the batch, under ``errors``: ``empty_file``, ``too_many_lines``, ``input_file_not_found``,
``revoked_api_key`` (its key may call no more), ``run_ended`` (somebody ended its run), and by line ``invalid_json_line``, ``invalid_utf8``,
``line_too_long``, ``missing_...``, ``invalid_...`` and ``duplicate_custom_id``; ``more_errors`` counts those beyond the first hundred.

How a call of an agent's tool went stands in its outcome: ``tool_failed``, ``tool_unavailable`` (it did not happen, and no more tries
were left), ``tool_timeout``, ``tool_in_doubt`` (nobody knows whether it happened), ``tool_result_cut``, ``tool_result_unreadable``; or why
it was not made: ``approval_refused``, ``approval_rejected``, ``approval_expired``, ``approval_revoked``, ``approval_void``,
``approval_closed``, and while it waits ``approval_needed``. How its run ended: ``limit_...`` with the name of the limit, ``stuck``,
``output_invalid``, ``bad_reply``, ``workflow_failed``, ``agent_failed`` and ``agent_diverged`` (one of another framework), or what the
line said; any run, ``run_code_changed`` (its code asks for other steps than the one that it began with).

Why a background response failed stands in its ``error``: what the line said to its question, ``bad_reply`` (no response came back),
``run_ended`` (somebody ended its run, or it was abandoned), ``run_paused`` (the run of its agent was), or how the run of its agent ended.

What a body may be: at most ``gateway.max_body_bytes`` at the model routes and 1 MiB everywhere else (413 ``body_too_large``), there within
``gateway.body_seconds`` (408 ``body_timeout``), valid UTF-8 and one JSON object whose arrays and objects are nested at most 100 levels deep
(400 ``malformed_request``; real requests have under 20).
"""

from __future__ import annotations

from typing import ClassVar


class PenstockError(Exception):
    """Root of everything that Penstock raises on purpose.

    ``code`` is stable and machine-readable, ``status`` the HTTP status that fits, ``param`` the name of the offending field or
    setting when there is one, ``retry_after`` the seconds after which trying again makes sense (None: do not retry blindly).
    """

    default_code: ClassVar[str] = "internal_error"
    default_status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.status = status or self.default_status
        self.param = param
        self.retry_after = retry_after


class SettingsError(PenstockError):
    """A setting is missing, unknown or of the wrong kind; the message names it and where it came from."""

    default_code = "settings_invalid"


class RequestError(PenstockError):
    """The caller sent something that cannot be served as it stands."""

    default_code = "invalid_request"
    default_status = 400


class MalformedRequest(RequestError):
    """The bytes are not what the API takes: no JSON, wrong types, invalid UTF-8, nesting too deep."""

    default_code = "malformed_request"


class NotExpressible(RequestError):
    """A field of the request has no counterpart in the shape that the chosen provider speaks."""

    default_code = "not_expressible"


class BodyTooLarge(RequestError):
    """The body is longer than ``gateway.max_body_bytes``, or what is stored with it than the setting that the message names."""

    default_code = "body_too_large"
    default_status = 413


class NotFound(RequestError):
    """Nothing is known under this name."""

    default_code = "not_found"
    default_status = 404


class UnknownModel(NotFound):
    """No configured provider serves the model that was asked for, or the key may not use it."""

    default_code = "model_not_found"


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method."""

    default_code = "method_not_allowed"
    default_status = 405


class Conflict(RequestError):
    """The change clashes with what is stored: a name taken, a version outdated."""

    default_code = "conflict"
    default_status = 409


class Unauthenticated(PenstockError):
    """No credential, or one that is unknown, expired or revoked; the message does not repeat it."""

    default_code = "invalid_api_key"
    default_status = 401


class Forbidden(PenstockError):
    """Known caller, but not allowed to do this."""

    default_code = "permission_denied"
    default_status = 403


class NotApproved(Forbidden):
    """No model that the name leads to is approved for the call; the message says how it stands."""

    default_code = "model_not_approved"


class LimitExceeded(PenstockError):
    """A limit on requests, tokens or concurrency of the key is reached; ``retry_after`` says when it frees."""

    default_code = "rate_limit_exceeded"
    default_status = 429


class BudgetExceeded(LimitExceeded):
    """The money for this period is spent or reserved; trying again at once is useless."""

    default_code = "insufficient_quota"


class Unavailable(PenstockError):
    """Penstock cannot serve this now, through no fault of the caller."""

    default_code = "unavailable"
    default_status = 503


class Overloaded(Unavailable):
    """Too many calls are in flight or waiting; refused early so that the others finish."""

    default_code = "overloaded"


class Draining(Unavailable):
    """The process is shutting down and takes no new calls."""

    default_code = "draining"


class CircuitOpen(Unavailable):
    """Every target of the call failed lately and is left alone; ``retry_after`` says when the first of them is asked again."""

    default_code = "circuit_open"


class StorageError(Unavailable):
    """A store did not answer or refused the work."""

    default_code = "storage_unavailable"


class StorageFull(StorageError):
    """No room to journal another ledger row, so no call may spend money; or none for the bytes of a file."""

    default_code = "storage_full"


class SchemaMismatch(StorageError):
    """The database's schema is behind or ahead of this version of Penstock; ``penstock migrate`` mends the former."""

    default_code = "schema_mismatch"


class JournalUnavailable(Unavailable):
    """The journal does not run here: it could not be opened, or is being closed."""

    default_code = "journal_unavailable"


class JournalNotInstalled(JournalUnavailable):
    """Durable runs need the extra ``journal``, which is not installed."""

    default_code = "journal_not_installed"


class JournalInUse(JournalUnavailable):
    """Another process works on this SQLite journal; only one may. Several share one on PostgreSQL."""

    default_code = "journal_in_use"


class StepFailed(PenstockError):
    """A step of a run, or a run that was waited for, raised; ``kind`` is the name of the exception's type, ``step_code`` its stable code.

    It is what the run's function sees in place of the exception itself, which cannot be journalled, so that a run sees the same when it
    is executed again.
    """

    default_code = "step_failed"

    def __init__(self, message: str, *, kind: str, step_code: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.step_code = step_code


class DeadlineExceeded(PenstockError):
    """The call's deadline passed before a reply was complete."""

    default_code = "deadline_exceeded"
    default_status = 504


class UpstreamError(PenstockError):
    """The provider failed. ``may_have_run`` says whether the provider may have done (and billed) the work."""

    default_code = "upstream_error"
    default_status = 502
    may_have_run: ClassVar[bool] = True


class UpstreamUnreachable(UpstreamError):
    """No connection to the provider could be made; nothing was sent."""

    default_code = "upstream_unreachable"
    may_have_run = False


class ProviderCredentials(UpstreamUnreachable):
    """We have no valid credentials for the provider: a token could not be had or renewed. Nothing was sent."""

    default_code = "provider_credentials"


class UpstreamReset(UpstreamError):
    """The provider closed the connection before its reply was complete."""

    default_code = "upstream_reset"


class UpstreamMalformed(UpstreamError):
    """The provider's reply is not what its API promises."""

    default_code = "upstream_malformed"


class UpstreamRefused(UpstreamError):
    """The provider answered with an error of its own: ``upstream_status`` is its status, ``status`` what the caller is told."""

    default_code = "upstream_refused"

    def __init__(self, message: str, *, status: int, upstream_status: int, retry_after: float | None = None) -> None:
        super().__init__(message, status=status, retry_after=retry_after)
        self.upstream_status = upstream_status


class CallCancelled(PenstockError):
    """The client went away before the reply was complete. Nobody reads this error; the record shows it."""

    default_code = "call_cancelled"
    default_status = 499
