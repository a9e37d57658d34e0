DROP TABLE opportunities;
DROP TYPE opportunity_stage;
