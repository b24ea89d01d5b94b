-- What Optuna 2.10.1 left of a study of four trials, as sqlite3's .dump tells it.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO studies VALUES(1,'old');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO version_info VALUES(1,12,'2.10.1');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO study_directions VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO trials VALUES(1,0,1,'COMPLETE','2026-11-29 07:14:49.562111','2026-11-29 07:14:49.685580');
INSERT INTO trials VALUES(2,1,1,'PRUNED','2026-11-29 07:14:49.735386','2026-11-29 07:14:49.865568');
INSERT INTO trials VALUES(3,2,1,'FAIL','2026-11-29 07:14:49.888862','2026-11-29 07:14:50.017598');
INSERT INTO trials VALUES(4,3,1,'COMPLETE','2026-11-29 07:14:50.038215','2026-11-29 07:14:50.160564');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO trial_params VALUES(1,1,'lr',0.012520653814999465128,'{"name": "LogUniformDistribution", "attributes": {"low": 0.001, "high": 0.1}}');
INSERT INTO trial_params VALUES(2,1,'layers',3.0,'{"name": "IntUniformDistribution", "attributes": {"low": 1, "high": 4, "step": 1}}');
INSERT INTO trial_params VALUES(3,1,'kind',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}');
INSERT INTO trial_params VALUES(4,2,'lr',0.0070357370287221498994,'{"name": "LogUniformDistribution", "attributes": {"low": 0.001, "high": 0.1}}');
INSERT INTO trial_params VALUES(5,2,'layers',3.0,'{"name": "IntUniformDistribution", "attributes": {"low": 1, "high": 4, "step": 1}}');
INSERT INTO trial_params VALUES(6,2,'kind',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}');
INSERT INTO trial_params VALUES(7,3,'lr',0.084591265280493779799,'{"name": "LogUniformDistribution", "attributes": {"low": 0.001, "high": 0.1}}');
INSERT INTO trial_params VALUES(8,3,'layers',2.0,'{"name": "IntUniformDistribution", "attributes": {"low": 1, "high": 4, "step": 1}}');
INSERT INTO trial_params VALUES(9,3,'kind',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}');
INSERT INTO trial_params VALUES(10,4,'lr',0.013680095279726921936,'{"name": "LogUniformDistribution", "attributes": {"low": 0.001, "high": 0.1}}');
INSERT INTO trial_params VALUES(11,4,'layers',4.0,'{"name": "IntUniformDistribution", "attributes": {"low": 1, "high": 4, "step": 1}}');
INSERT INTO trial_params VALUES(12,4,'kind',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO trial_values VALUES(1,1,0,0.037561961444998397119);
INSERT INTO trial_values VALUES(2,2,0,0.042214422172332899396);
INSERT INTO trial_values VALUES(3,4,0,0.054720381118907687745);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO trial_intermediate_values VALUES(1,1,0,0.037561961444998397119);
INSERT INTO trial_intermediate_values VALUES(2,1,1,0.075123922889996794238);
INSERT INTO trial_intermediate_values VALUES(3,2,0,0.021107211086166449698);
INSERT INTO trial_intermediate_values VALUES(4,2,1,0.042214422172332899396);
INSERT INTO trial_intermediate_values VALUES(5,3,0,0.16918253056098755959);
INSERT INTO trial_intermediate_values VALUES(6,3,1,0.33836506112197511919);
INSERT INTO trial_intermediate_values VALUES(7,4,0,0.054720381118907687745);
INSERT INTO trial_intermediate_values VALUES(8,4,1,0.10944076223781537549);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES('v2.6.0.a');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
COMMIT;
