-- The band of protection of a player then and now.
VALUES ('rg_risk_band', past.rg_risk_band::text, present.rg_risk_band::text)
