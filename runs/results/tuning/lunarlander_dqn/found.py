# Found by: rl tune LunarLander-v3 --agent dqn --steps 100000 --minutes 45 --jobs 2 --seeds 10 --out DIR
# trial 31 and start are not distinguishable with this many seeds (+8.32, 99.2% interval −139 to 156, 10 seeds each). In the search: 112.
# agent.lr=0.00106:3.23e-05:100000
# agent.gamma=0.99305
# agent.batch_size=40
# agent.replay_ratio=0.276
# agent.learning_starts=566
# agent.n_step=1
# agent.net.hidden=256x256
# agent.target_every=120
# agent.epsilon=1.0:0.108:7210
# agent.net.layer_norm=false
# agent.double=true

from runs.recipe import Run
from runs.settings.plain import from_json

run = from_json(Run, {'env': 'LunarLander-v3',
 'agent': {'name': 'dqn',
           'net': {'encoder': 'auto',
                   'hidden': [256, 256],
                   'activation': 'relu',
                   'layer_norm': False,
                   'core': 'none',
                   'core_size': 128,
                   'core_span': 0,
                   'orthogonal': False,
                   'width': 1,
                   'spectral_norm': False,
                   'max_pool': 0,
                   'channels_last': True},
           'stack': 1,
           'gamma': 0.99305,
           'lr': {'start': 0.00106, 'end': 3.23e-05, 'steps': 100000},
           'optimizer': 'adam',
           'adam_eps': 1e-08,
           'max_grad_norm': 10.0,
           'reward_clip': None,
           'normalize_obs': False,
           'normalize_return': False,
           'store': 'auto',
           'weight_decay': 0.0,
           'batch_size': 40,
           'buffer_size': 50000,
           'learning_starts': 566,
           'replay_ratio': 0.276,
           'update_every': 4,
           'target_tau': 1.0,
           'n_step': 1,
           'prioritized': False,
           'priority_exponent': 0.6,
           'importance': {'start': 0.4, 'end': 1.0, 'steps': 1000000},
           'target_every': 120,
           'double': True,
           'dueling': False,
           'noisy': False,
           'noisy_sigma': 0.5,
           'head_hidden': None,
           'munchausen': False,
           'munchausen_alpha': 0.9,
           'munchausen_tau': 0.03,
           'munchausen_low': -1.0,
           'epsilon': {'start': 1.0, 'end': 0.108, 'steps': 7210},
           'eval_epsilon': 0.0,
           'precision': 'auto',
           'cuda_graph': 'auto',
           'huber': True},
 'steps': 100000,
 'num_envs': 1,
 'seed': 0,
 'env_config': {'vector': 'auto',
                'protocol': '',
                'max_steps': None,
                'life_loss': None,
                'flicker': 0.0,
                'no_velocity': False,
                'options': {},
                'reset_options': {},
                'drop': []},
 'eval_every': None,
 'eval_episodes': 20,
 'eval_sample': False,
 'eval_max_steps': None,
 'save_every': None,
 'snapshots': 0,
 'log_every': 1000,
 'video_every': 0,
 'threads': 1,
 'overlap': False})
