"""The names of the settings that a brand's file may have: all but the brand's name and the folder of the files.

They stand here beside `crmbet.run.settings`, because importing the model of all settings takes longer than a DAG file
may take. tests/unit/run/test_brands.py compares the two.
"""

from __future__ import annotations

SETTINGS_OF_A_BRAND = frozenset({
    "lake_bucket", "target_schema", "operator_timezone", "language", "daily_schedule", "weekly_schedule",
    "lake_connection", "source_connection", "target_connection", "stream_connection", "monitoring_connection",
    "raw_prefix", "audiences_folder", "contracts_directory", "max_source_shrink", "verify_days",
    "quality_strict", "min_data_completeness", "max_outlier_share", "max_duplicate_share", "max_quarantine_share",
    "max_discarded_share", "max_unreadable_protection_share", "max_unreadable_share", "max_passed_over_share",
    "max_data_age_hours", "min_rows_per_day", "min_volume_ratio", "max_snapshot_age_days", "max_orphan_share",
    "max_overdrawn_share",
    "max_psi", "max_ks_distance", "max_quartile_shift", "max_variance_ratio", "max_skew_shift",
    "max_feature_correlation",
    "min_profile_players", "min_profile_days", "min_feature_fill", "max_feature_magnitude", "max_feature_cardinality",
    "max_class_share", "min_usable_features",
    "ticket_low", "ticket_high", "adult_age",
    "rg_min_cohort", "rg_band_medium", "rg_band_high", "rg_live_session_minutes", "rg_live_session_deposits",
    "clv_margin", "clv_monthly_discount_rate", "min_model_cohort", "min_calibration_users",
    "gone_users", "max_table_shrink", "max_segment_jump_share", "lock_timeout_seconds",
    "stream_topics", "stream_batch_seconds", "stream_batch_messages", "max_stream_age_seconds",
    "backup_retention_days", "backup_retention_count", "run_retention_days", "sweep_grace_days",
    "memory_limit", "threads", "spill_directory", "max_unpacked_size", "max_unpacked_ratio",
    "connect_timeout_seconds", "answer_timeout_seconds", "statement_timeout_seconds", "idle_timeout_seconds",
    "alert_timeout_seconds", "extract_timeout_minutes", "clean_timeout_minutes", "features_timeout_minutes",
    "validate_timeout_minutes", "backup_timeout_minutes", "load_timeout_minutes", "record_timeout_minutes",
    "weekly_timeout_minutes", "restore_timeout_minutes", "stream_timeout_minutes",
    "legal_retention_days", "erasure_deadline_days", "erasure_timeout_minutes",
    "privacy_connection", "privacy_officers",
    "price_currency", "price_vcpu_hour", "price_gb_month", "price_1000_reads", "price_1000_writes",
    "audiences_timeout_minutes", "approval_timeout_minutes", "deadline_minutes", "ask_on", "approvers", "shards",
})  # fmt: skip
